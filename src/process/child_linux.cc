#include "process/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "process/file_descriptor.h"
#include "process/guard_protocol.h"
#include "process/output_log.h"
#include "process/process_tree.h"

namespace minerva::process {
namespace {

using std::chrono::steady_clock;

// From the start of the guard to the program's first instruction: milliseconds, unless the machine
// swaps.
constexpr auto kStartTimeMax = std::chrono::seconds(20);
// The guard gives what is left 2 s after SIGTERM, and SIGKILL works at once.
constexpr auto kTreeEndTimeMax = std::chrono::seconds(5);
// How much of a child that prints without end is read at once.
constexpr std::size_t kReadBytes = std::size_t{64} << 10;

Error system_error(std::string_view what) {
  return {ErrorCode::Io, fmt::format("{}: {}", what, std::strerror(errno))};
}

bool holds_zero(const std::string& text) { return text.find('\0') != std::string::npos; }

Result<void> check(const ChildOptions& options) {
  const auto wrong = [&](std::string what) {
    return fail(ErrorCode::InvalidArgument, fmt::format("{}: {}", options.name, what));
  };
  if (options.guard.empty()) return wrong("no guard is named");
  if (options.argv.empty() || !options.argv[0].starts_with('/')) {
    return wrong(fmt::format("the program must be an absolute path, not '{}'",
                             options.argv.empty() ? "" : escape_controls(options.argv[0])));
  }
  for (const std::string& argument : options.argv) {
    if (holds_zero(argument)) return wrong("an argument holds a zero byte");
  }
  for (const std::string& entry : options.environment) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || holds_zero(entry)) {
      return wrong(fmt::format("'{}' is no NAME=value", escape_controls(entry.substr(0, equals))));
    }
  }
  if (holds_zero(options.working_directory))
    return wrong("the working directory holds a zero byte");
  return {};
}

// Why the program could not be started, in words that tell what to do.
Error start_error(const ChildOptions& options, const GuardMessage& message) {
  const int number = static_cast<int>(message.first);
  const auto stage = static_cast<StartStage>(message.second);
  if (stage == StartStage::Guard) {
    return {ErrorCode::Io,
            fmt::format("{}: its guard cannot start it: {}", options.name, std::strerror(number))};
  }
  if (stage == StartStage::WorkingDirectory) {
    return {ErrorCode::Io, fmt::format("{}: working directory {}: {}", options.name,
                                       options.working_directory, std::strerror(number))};
  }
  const std::string& program = options.argv[0];
  struct ::stat info{};
  const bool exists = ::stat(program.c_str(), &info) == 0;
  const std::string at = fmt::format("{}: {}", options.name, program);
  if (number == ENOENT && !exists) {
    return {ErrorCode::NotFound, at + ": no such file; is it installed?"};
  }
  if (number == ENOENT) {
    return {ErrorCode::Unsupported,
            at + ": is there, but the interpreter or loader that it names is not"};
  }
  if (exists && S_ISDIR(info.st_mode)) {
    return {ErrorCode::InvalidArgument, at + ": is a folder, not a program"};
  }
  if (number == ENOEXEC) {
    return {ErrorCode::Unsupported,
            at + ": is not a program of this machine, nor a script that begins with #!"};
  }
  if (number == EACCES) {
    return {ErrorCode::Forbidden,
            at + ": may not be executed; check its permissions (chmod +x) and its file system"};
  }
  return {ErrorCode::Io, fmt::format("{}: {}", at, std::strerror(number))};
}

struct Pair {
  FileDescriptor ours, theirs;
};

// The guard's ends are put above the numbers that they will get there, so that none of the moves
// overwrites another's source, even when our own stdin is closed.
Result<FileDescriptor> moved_up(FileDescriptor low) {
  FileDescriptor high(::fcntl(low.number(), F_DUPFD_CLOEXEC, kGuardSocket + 1));
  if (!high) return fail(system_error("no file descriptor for a guard"));
  return high;
}

Result<Pair> make_socket() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(system_error("no socket for a guard"));
  }
  Pair pair{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  MINERVA_ASSIGN(pair.theirs, moved_up(std::move(pair.theirs)));
  return pair;
}

Result<Pair> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(system_error("no pipe for a child"));
  Pair pair{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
  MINERVA_ASSIGN(pair.theirs, moved_up(std::move(pair.theirs)));
  const int flags = ::fcntl(pair.ours.number(), F_GETFL);
  ::fcntl(pair.ours.number(), F_SETFL, flags | O_NONBLOCK);
  return pair;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

// The guard runs with the program's environment, so it hands on its own.
Result<::pid_t> start_guard(const ChildOptions& options, int socket, int output) {
  std::vector<std::string> arguments = options.guard;
  arguments.push_back(std::to_string(options.cpus));
  arguments.push_back(options.working_directory);
  arguments.insert(arguments.end(), options.argv.begin(), options.argv.end());
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> environment = pointers(options.environment);

  // posix_spawn neither copies our memory nor runs any of our code in the new process, which could
  // hang there at a lock that another of our threads holds.
  ::posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, output, 1);
  ::posix_spawn_file_actions_adddup2(&files, output, 2);
  ::posix_spawn_file_actions_adddup2(&files, socket, kGuardSocket);
  ::posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::sigset_t all;
  ::sigset_t none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  ::pid_t pid = 0;
  const int failure =
      ::posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failure == 0) return pid;
  return fail(ErrorCode::Io, fmt::format("{}: cannot start its guard {}: {}", options.name,
                                         options.guard[0], std::strerror(failure)));
}

// Waits for a process that is ending or was killed.
void reap(::pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

class SupervisedChild final : public Child {
 public:
  SupervisedChild(std::string name, ::pid_t guard, std::int64_t pid, std::int64_t parent,
                  OutputLog log, FileDescriptor output, FileDescriptor socket, FileDescriptor quit)
      : name_(std::move(name)),
        guard_(guard),
        pid_(pid),
        parent_(parent),
        log_(std::move(log)),
        output_(std::move(output)),
        socket_(std::move(socket)),
        quit_(std::move(quit)),
        watcher_([this] { watch(); }) {}

  ~SupervisedChild() override {
    kill();
    wait_for_tree();
    const std::uint64_t one = 1;
    if (::write(quit_.number(), &one, sizeof one) < 0) {
      log_error("{}: cannot tell its watcher to end: {}", name_, std::strerror(errno));
    }
    watcher_.join();
  }

  std::int64_t pid() const override { return pid_; }

  std::optional<ExitStatus> exit_status() const override {
    const std::lock_guard lock(mutex_);
    return exit_;
  }

  bool wait_for(Duration time_max) override {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, until(time_max), [&] { return exit_.has_value(); });
  }

  Result<void> signal(int number) override {
    if (!running()) {
      return fail(ErrorCode::NotFound, fmt::format("{}: has ended, no signal reaches it", name_));
    }
    if (!tell(GuardWord::Signal, number)) return fail(system_error(name_ + ": its guard"));
    return {};
  }

  ExitStatus stop(const StopLadder& ladder) override {
    for (const Duration time_max : {ladder.first, ladder.second}) {
      if (!running()) break;
      tell(GuardWord::Signal, SIGTERM);
      tell(GuardWord::Signal, SIGCONT);  // one that is stopped would not see it
      wait_for(time_max);
    }
    if (running()) kill();
    wait_for_tree();
    return exit_status().value_or(ExitStatus{128 + SIGKILL, SIGKILL});
  }

  void kill() override {
    if (!tell(GuardWord::KillTree)) kill_directly();
  }

  std::vector<std::string> last_log_lines(std::size_t count) const override {
    const std::lock_guard lock(mutex_);
    return log_.last(count);
  }

  TreeUsage usage() const override {
    {
      const std::lock_guard lock(mutex_);
      if (gone_) return {};
    }
    return usage_of(descendants(parent_));
  }

 private:
  // A wait that no clock can overflow.
  static steady_clock::time_point until(Duration time_max) {
    return steady_clock::now() + std::clamp<Duration>(time_max, Duration(0), std::chrono::years(1));
  }

  bool tell(GuardWord word, std::int64_t first = 0) const {
    const GuardMessage message{word, 0, first, 0};
    return ::send(socket_.number(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           sizeof message;
  }

  void kill_directly() const {
    // The guard's number is its own until the watcher has waited for it, under this lock.
    const std::lock_guard lock(mutex_);
    if (!gone_) kill_from_outside(guard_);
  }

  // True when nothing of the tree is left. A guard that does not do its work (somebody has stopped
  // it) is done without.
  bool wait_for_tree() {
    const auto gone_within = [&](Duration time_max) {
      std::unique_lock lock(mutex_);
      return changed_.wait_until(lock, until(time_max), [&] { return gone_; });
    };
    if (gone_within(kTreeEndTimeMax)) return true;
    kill_directly();
    if (gone_within(kTreeEndTimeMax)) return true;
    log_error("{}: process {} or one below it does not end by SIGKILL; left to its guard {}", name_,
              pid_, guard_);
    return false;
  }

  // The watcher thread.
  void watch() {
    while (true) {
      std::array<::pollfd, 3> fds{{{quit_.number(), POLLIN, 0},
                                   {socket_.number(), POLLIN, 0},
                                   {output_.number(), POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), -1) < 0) continue;
      if (fds[2].revents != 0) read_output();
      if (fds[1].revents != 0 && !read_message()) return;
      if (fds[0].revents != 0) return;
    }
  }

  // False when there is nothing to read now.
  bool read_output() {
    std::array<char, kReadBytes> bytes;
    const ::ssize_t size = ::read(output_.number(), bytes.data(), bytes.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (size <= 0) {
      output_.reset();
      return false;
    }
    const std::lock_guard lock(mutex_);
    log_.append({bytes.data(), static_cast<std::size_t>(size)});
    return true;
  }

  // What was in the pipe when the child ended belongs to its last words; what others print after it
  // must not keep us here.
  void read_what_is_there() {
    const int capacity = output_ ? ::fcntl(output_.number(), F_GETPIPE_SZ) : 0;
    for (int read = 0; output_ && read < capacity; read += static_cast<int>(kReadBytes)) {
      if (!read_output()) break;
    }
    const std::lock_guard lock(mutex_);
    log_.finish();
  }

  // False when both guards have gone.
  bool read_message() {
    GuardMessage message{};
    const ::ssize_t size = ::recv(socket_.number(), &message, sizeof message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (size == sizeof message) {
      if (message.word == GuardWord::TreeGone) tree_gone_ = true;
      if (message.word == GuardWord::Exited) {
        read_what_is_there();
        set_exit({static_cast<int>(message.first), static_cast<int>(message.second)});
      }
      return true;
    }
    // Both guards were killed at once: the program has died with them, its session may live.
    if (!tree_gone_) {
      for (const ProcessStat& process : members_of_session(pid_)) {
        ::kill(static_cast<::pid_t>(process.pid), SIGKILL);
      }
    }
    read_what_is_there();
    set_exit({128 + SIGKILL, SIGKILL});
    const std::lock_guard lock(mutex_);
    reap(guard_);
    gone_ = true;
    changed_.notify_all();
    return false;
  }

  void set_exit(ExitStatus status) {
    const std::lock_guard lock(mutex_);
    if (!exit_) exit_ = status;
    changed_.notify_all();
  }

  const std::string name_;
  const ::pid_t guard_;
  const std::int64_t pid_;
  const std::int64_t parent_;  // the guard that is its parent
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  OutputLog log_;                   // under the mutex
  std::optional<ExitStatus> exit_;  // under the mutex
  bool gone_ = false;               // under the mutex: the tree, and the guard waited for
  bool tree_gone_ = false;          // the watcher's: the guard has said so
  FileDescriptor output_;           // the watcher's
  FileDescriptor socket_;
  FileDescriptor quit_;
  std::thread watcher_;  // last, so that all of the above is there when it starts
};

// The first word of the guard: that the program runs, or why not.
Result<GuardMessage> first_word(const ChildOptions& options, int socket) {
  const auto deadline = steady_clock::now() + kStartTimeMax;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    ::pollfd fd{socket, POLLIN, 0};
    if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) == 0) {
      return fail(ErrorCode::Timeout, fmt::format("{}: did not start within {} s", options.name,
                                                  std::chrono::seconds(kStartTimeMax).count()));
    }
    GuardMessage message{};
    const ::ssize_t size = ::recv(socket, &message, sizeof message, MSG_DONTWAIT);
    if (size == sizeof message) return message;
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    return fail(ErrorCode::Io,
                fmt::format("{}: its guard {} ended at once", options.name, options.guard[0]));
  }
}

}  // namespace

std::string ExitStatus::words() const {
  if (signal == 0) return fmt::format("exit code {}", code);
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

Result<std::unique_ptr<Child>> Child::spawn(ChildOptions options) {
  MINERVA_TRY(check(options));
  MINERVA_ASSIGN(OutputLog log,
                 OutputLog::open(options.log_path, {.lines_max = options.log_lines_max,
                                                    .line_bytes_max = options.log_line_bytes_max}));
  MINERVA_ASSIGN(Pair socket, make_socket());
  MINERVA_ASSIGN(Pair output, make_pipe());
  FileDescriptor quit(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!quit) return fail(system_error("no event for a child"));
  MINERVA_ASSIGN(const ::pid_t guard,
                 start_guard(options, socket.theirs.number(), output.theirs.number()));
  socket.theirs.reset();
  output.theirs.reset();

  auto word = first_word(options, socket.ours.number());
  if (word && word->word == GuardWord::Started) {
    return std::make_unique<SupervisedChild>(std::move(options.name), guard, word->first,
                                             word->second, std::move(log), std::move(output.ours),
                                             std::move(socket.ours), std::move(quit));
  }
  Error error = word ? start_error(options, *word) : word.error();
  std::array<char, 4096> printed;
  const ::ssize_t size = ::read(output.ours.number(), printed.data(), printed.size());
  if (!word && size > 0) {
    log.append({printed.data(), static_cast<std::size_t>(size)});
    log.finish();
    error.message += ": " + fmt::format("{}", fmt::join(log.last(3), " / "));
  }
  kill_from_outside(guard);
  reap(guard);
  return fail(std::move(error));
}

}  // namespace minerva::process
