#include "backend/child/upstream_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <utility>

#include "backend/child/upstream_loop_impl.h"
#include "base/log.h"

namespace minerva::backend {

UpstreamLoop::UpstreamLoop() : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([this] {
    while (true) {
      try {
        impl_->io.run();
        return;
      } catch (const std::exception& e) {
        // Out of memory for one call must not end those of the others.
        log_error("the loop of the engines' connections caught: {}", e.what());
      }
    }
  });
}

UpstreamLoop::~UpstreamLoop() {
  impl_->work.reset();
  impl_->io.stop();
  impl_->thread.join();
}

void UpstreamLoop::post(std::function<void()> work) {
  boost::asio::post(impl_->io, std::move(work));
}

void UpstreamLoop::post_after(Duration wait, std::function<void()> work) {
  const auto timer = std::make_shared<boost::asio::steady_timer>(impl_->io);
  timer->expires_after(wait);
  timer->async_wait([timer, work = std::move(work)](boost::system::error_code failed) {
    if (!failed) work();
  });
}

bool UpstreamLoop::on_loop_thread() const {
  return std::this_thread::get_id() == impl_->thread.get_id();
}

}  // namespace minerva::backend
