// The one thread on which all engines in other processes, and on other machines, are talked to.
// Owned by the app and outlives every Upstream. It computes nothing: what runs on it parses bytes
// and pushes events, so one thread relays for all.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"

namespace minerva::backend {

class UpstreamLoop {
 public:
  UpstreamLoop();
  ~UpstreamLoop();  // what was posted and has not run is dropped
  UpstreamLoop(const UpstreamLoop&) = delete;
  UpstreamLoop& operator=(const UpstreamLoop&) = delete;

  // Runs `work` on the loop's thread, soon. Any thread.
  void post(std::function<void()> work);
  // The same after `wait` of real time.
  void post_after(Duration wait, std::function<void()> work);
  bool on_loop_thread() const;

  struct Impl;  // Asio's parts; for this room's own files
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace minerva::backend
