// Two processes: the outer guard is what Child::spawn() starts, the inner one its child and the
// parent of the program. Both are reapers of what is below them (PR_SET_CHILD_SUBREAPER), so that
// no descendant can leave the tree by outliving its parent. The inner one does all the work; the
// outer one waits for it and ends whatever is left, so that SIGKILL to either guard leaves nothing.
//
//   us --socket-- outer guard -- inner guard -- program -- its children
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "process/file_descriptor.h"
#include "process/guard.h"
#include "process/guard_protocol.h"
#include "process/process_tree.h"

namespace minerva::process {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// How long the tree has to end by itself after SIGTERM, when we have gone or its head has ended.
constexpr auto kGrace = std::chrono::seconds(2);
// A process in an uninterruptible wait ends late; until then we look now and then.
constexpr auto kLookAgain = std::chrono::milliseconds(50);
// The kernel should rather end an engine than the server in front of it.
constexpr int kOomScoreMore = 100;
constexpr int kOomScoreMax = 1000;
// The death of the outer guard; every other signal is blocked in the guards. SIGTERM to all of a
// service's processes is our server's to answer, which then stops its children in its own order.
constexpr int kOuterGuardDied = SIGUSR1;

void say(GuardWord word, std::int64_t first = 0, std::int64_t second = 0) {
  const GuardMessage message{word, 0, first, second};
  // Nobody may be there to hear it any more, and the guard must never wait for a reader.
  while (::send(kGuardSocket, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
         errno == EINTR) {
  }
}

std::string first_line_of(const char* path) {
  const FileDescriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  std::array<char, 64> text{};
  const ::ssize_t size = file ? ::read(file.number(), text.data(), text.size()) : 0;
  const std::string_view all(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  return std::string(all.substr(0, all.find('\n')));
}

// Whether all of it worked does not matter to the program: these only make it less of a burden.
void lower_our_claims(unsigned cpus) {
  const ::rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

  const std::string ours = first_line_of("/proc/self/oom_score_adj");
  int score = 0;
  std::from_chars(ours.data(), ours.data() + ours.size(), score);
  const std::string more = std::to_string(std::min(score + kOomScoreMore, kOomScoreMax));
  const FileDescriptor file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.number(), more.data(), more.size()) < 0) return;

  ::cpu_set_t all;
  CPU_ZERO(&all);
  if (cpus == 0 || ::sched_getaffinity(0, sizeof all, &all) != 0) return;
  std::vector<int> allowed;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &all)) allowed.push_back(cpu);
  }
  if (cpus >= allowed.size()) return;
  // Children begin at different processors, so that two with a part of them share less.
  const std::size_t begin = static_cast<std::size_t>(::getpid()) % allowed.size();
  ::cpu_set_t some;
  CPU_ZERO(&some);
  for (std::size_t i = 0; i < cpus; ++i) CPU_SET(allowed[(begin + i) % allowed.size()], &some);
  ::sched_setaffinity(0, sizeof some, &some);
}

struct Order {
  unsigned cpus = 0;
  std::string working_directory;
  std::vector<std::string> argv;
};

// As at the start of a first process: nothing blocked, nothing ignored. By the kernel's own call,
// since glibc's refuses its two internal signals, and its posix_spawn() leaves just those ignored.
void reset_signals() {
  constexpr std::size_t kSignals = 64;
  constexpr std::size_t kMaskBytes = kSignals / 8;
  // The kernel's struct is no larger on any machine; all zero says: the default, no flags.
  constexpr std::array<unsigned long, 8> kDefault{};
  for (std::size_t number = 1; number <= kSignals; ++number) {
    ::syscall(SYS_rt_sigaction, number, kDefault.data(), nullptr, kMaskBytes);
  }
  const std::uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kMaskBytes);
}

// In the forked child: becomes the program, or reports through `failure` why it cannot.
[[noreturn]] void become_program(const Order& order, ::pid_t guard, int failure) {
  const auto report = [&](StartStage stage) {
    const GuardMessage message{GuardWord::Failed, 0, errno, static_cast<std::int64_t>(stage)};
    if (::write(failure, &message, sizeof message) < 0) ::_exit(126);
    ::_exit(127);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != guard) ::_exit(127);  // it died before the line above
  ::setsid();
  ::umask(077);
  lower_our_claims(order.cpus);
  if (::chdir(order.working_directory.c_str()) != 0) report(StartStage::WorkingDirectory);

  std::vector<char*> argv;
  argv.reserve(order.argv.size() + 1);
  for (const std::string& argument : order.argv) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  reset_signals();
  ::execve(argv[0], argv.data(), environ);
  report(StartStage::Program);
  ::_exit(127);
}

void forget_output() {
  const FileDescriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  ::dup2(null.number(), 1);
  ::dup2(null.number(), 2);
}

// The pid, or nothing after the failure was told to us.
std::optional<::pid_t> start_program(const Order& order) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    say(GuardWord::Failed, errno, static_cast<std::int64_t>(StartStage::Guard));
    return std::nullopt;
  }
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const ::pid_t guard = ::getpid();
  const ::pid_t child = ::fork();
  if (child < 0) {
    say(GuardWord::Failed, errno, static_cast<std::int64_t>(StartStage::Guard));
    return std::nullopt;
  }
  if (child == 0) become_program(order, guard, write_end.number());
  write_end.reset();
  // From here on the pipe for output belongs to the program and its children alone.
  forget_output();
  GuardMessage failure{};
  ::ssize_t size = 0;
  do {
    size = ::read(read_end.number(), &failure, sizeof failure);
  } while (size < 0 && errno == EINTR);
  if (size == sizeof failure) {
    say(failure.word, failure.first, failure.second);
    return std::nullopt;
  }
  say(GuardWord::Started, child, guard);
  return child;
}

void signal_all(std::initializer_list<int> numbers) {
  for (const ProcessStat& process : descendants(::getpid())) {
    for (const int number : numbers) ::kill(static_cast<::pid_t>(process.pid), number);
  }
}

// The state of the inner guard. Ends when no descendant is left.
class InnerGuard {
 public:
  InnerGuard(::pid_t child, int signals) : child_(child), signals_(signals) {}

  void run() {
    while (true) {
      reap();
      if (none_left_) return;
      if (phase_ == Phase::Ending && std::chrono::steady_clock::now() >= kill_at_) {
        phase_ = Phase::Killing;
      }
      if (phase_ == Phase::Killing) signal_all({SIGKILL});
      wait();
    }
  }

 private:
  enum class Phase { Running, Ending, Killing };

  void reap() {
    while (true) {
      int status = 0;
      const ::pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0) none_left_ = true;  // ECHILD; orphans come to us, so nobody is below either
      if (pid <= 0) return;
      if (pid != child_) continue;
      child_ended_ = true;
      const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      say(GuardWord::Exited, signal != 0 ? 128 + signal : WEXITSTATUS(status), signal);
      end_gently();
    }
  }

  void end_gently() {
    if (phase_ != Phase::Running) return;
    phase_ = Phase::Ending;
    kill_at_ = std::chrono::steady_clock::now() + kGrace;
    // One that is stopped would get to see SIGTERM only when it goes on.
    signal_all({SIGTERM, SIGCONT});
  }

  void wait() {
    std::array<::pollfd, 2> fds{{{signals_, POLLIN, 0}, {socket_, POLLIN, 0}}};
    const int time_max =
        phase_ == Phase::Running ? -1 : static_cast<int>(kLookAgain / std::chrono::milliseconds(1));
    if (::poll(fds.data(), fds.size(), time_max) <= 0) return;
    if (fds[0].revents != 0) read_signal();
    if (fds[1].revents != 0) read_order();
  }

  void read_signal() {
    ::signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) return;
    if (static_cast<int>(info.ssi_signo) == kOuterGuardDied) phase_ = Phase::Killing;
  }

  void read_order() {
    GuardMessage message{};
    const ::ssize_t size = ::recv(socket_, &message, sizeof message, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size != sizeof message) {  // we have gone
      socket_ = -1;
      end_gently();
    } else if (message.word == GuardWord::KillTree) {
      phase_ = Phase::Killing;
    } else if (message.word == GuardWord::Signal && !child_ended_) {
      ::kill(child_, static_cast<int>(message.first));
    }
  }

  ::pid_t child_;
  int signals_;
  int socket_ = kGuardSocket;
  Phase phase_ = Phase::Running;
  SteadyTime kill_at_{};
  bool child_ended_ = false;
  bool none_left_ = false;
};

int run_inner(const Order& order, ::pid_t outer, int signals) {
  ::prctl(PR_SET_PDEATHSIG, kOuterGuardDied);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (::getppid() != outer) return 1;
  const auto child = start_program(order);
  if (!child) return 1;
  InnerGuard(*child, signals).run();
  say(GuardWord::TreeGone);
  return 0;
}

int run_outer(::pid_t inner) {
  forget_output();
  int inner_status = 0;
  while (true) {
    int status = 0;
    const ::pid_t pid = ::waitpid(-1, &status, 0);
    if (pid == inner) inner_status = status;
    if (pid == inner || (pid < 0 && errno != EINTR)) break;
  }
  // Whom the inner guard left behind is a child of ours now.
  ::sigset_t child_signal;
  ::sigemptyset(&child_signal);
  ::sigaddset(&child_signal, SIGCHLD);
  while (true) {
    const ::pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid < 0 && errno != EINTR) break;
    if (pid != 0) continue;
    signal_all({SIGKILL});
    const ::timespec look_again{0, std::chrono::nanoseconds(kLookAgain).count()};
    ::sigtimedwait(&child_signal, nullptr, &look_again);
  }
  if (WIFSIGNALED(inner_status)) {
    // The program died with its guard (PR_SET_PDEATHSIG).
    say(GuardWord::Exited, 128 + SIGKILL, SIGKILL);
    say(GuardWord::TreeGone);
  }
  return WIFEXITED(inner_status) ? WEXITSTATUS(inner_status) : 1;
}

std::optional<Order> read_order(std::span<const std::string> arguments) {
  if (arguments.size() < 3) return std::nullopt;
  Order order;
  const std::string& cpus = arguments[0];
  const auto [end, error] = std::from_chars(cpus.data(), cpus.data() + cpus.size(), order.cpus);
  if (error != std::errc{} || end != cpus.data() + cpus.size()) return std::nullopt;
  order.working_directory = arguments[1];
  order.argv.assign(arguments.begin() + 2, arguments.end());
  return order;
}

}  // namespace

int run_guard(std::span<const std::string> arguments) {
  const auto order = read_order(arguments);
  int type = 0;
  ::socklen_t size = sizeof type;
  if (!order || ::getsockopt(kGuardSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    std::fputs("minerva guard: started by minerva itself, for its engines; not by hand\n", stderr);
    return 2;
  }
  ::syscall(SYS_close_range, static_cast<unsigned>(kGuardSocket) + 1, ~0u, 0u);
  ::fcntl(kGuardSocket, F_SETFD, FD_CLOEXEC);
  ::prctl(PR_SET_NAME, "minerva-guard");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::setsid();
  ::sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  // Made before the fork, and read by the inner guard: it shows the signals of whoever reads it.
  ::sigset_t read;
  ::sigemptyset(&read);
  ::sigaddset(&read, SIGCHLD);
  ::sigaddset(&read, kOuterGuardDied);
  const int signals = ::signalfd(-1, &read, SFD_CLOEXEC | SFD_NONBLOCK);

  const ::pid_t outer = ::getpid();
  const ::pid_t inner = signals < 0 ? -1 : ::fork();
  if (inner < 0) {
    say(GuardWord::Failed, errno, static_cast<std::int64_t>(StartStage::Guard));
    ::_exit(1);
  }
  // _exit: nothing of this process is worth a destructor, and no leak checker may hold it up.
  if (inner == 0) ::_exit(run_inner(*order, outer, signals));
  ::_exit(run_outer(inner));
}

}  // namespace minerva::process
