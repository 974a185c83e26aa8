// Asio's parts of UpstreamLoop, for the files of this room.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "backend/child/upstream_loop.h"

namespace minerva::backend {

struct UpstreamLoop::Impl {
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  std::thread thread;
};

}  // namespace minerva::backend
