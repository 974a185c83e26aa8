// Signals as something to wait for and to look at. Between open() and the destructor the named
// signals do nothing else.
#pragma once

#include <signal.h>

#include <atomic>
#include <initializer_list>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace minerva::cli {

// One at a time in a process, because handlers are the process's. wait_for() and clear() belong to
// one thread; arrived() to any.
class SignalPipe {
 public:
  static Result<std::unique_ptr<SignalPipe>> open(std::initializer_list<int> signals);
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  // True once a signal has come, or at once for one that came before; it is then taken.
  bool wait_for(Duration wait);
  // Readable when a signal has come and was not taken.
  int fd() const { return read_fd_; }
  // Set with every signal, until clear().
  const std::atomic<bool>& arrived() const;
  void clear();

 private:
  SignalPipe(int read_fd, int write_fd) : read_fd_(read_fd), write_fd_(write_fd) {}

  struct Before {
    int number;
    struct sigaction action;
  };
  const int read_fd_;
  const int write_fd_;
  std::vector<Before> before_;
};

// A reader of ours that closes early shows as an error of write(), not as our end.
void ignore_broken_pipes();

}  // namespace minerva::cli
