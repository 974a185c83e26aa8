// Threads for what may wait: loading, unloading, asking an engine for a token. One thread a job,
// since a job may take minutes and must never wait behind another; there are few at a time.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

namespace minerva::serve {

// Any thread. The destructor waits for every job.
class Workers {
 public:
  ~Workers() {
    const std::lock_guard lock(mutex_);
    for (Job& job : jobs_) job.thread.join();
  }
  void run(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    jobs_.remove_if([](Job& job) {
      if (!job.done->load()) return false;
      job.thread.join();
      return true;
    });
    auto done = std::make_shared<std::atomic<bool>>(false);
    jobs_.push_back({done, std::thread([done, work = std::move(work)] {
                       work();
                       done->store(true);
                     })});
  }

 private:
  struct Job {
    std::shared_ptr<std::atomic<bool>> done;
    std::thread thread;
  };
  std::mutex mutex_;
  std::list<Job> jobs_;
};

}  // namespace minerva::serve
