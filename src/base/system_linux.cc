#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/system.h"

namespace minerva {
namespace {

// One number from a file, or `otherwise` when it is missing or not a number ("max").
std::uint64_t number_in(const char* path, std::uint64_t otherwise) {
  std::ifstream in(path);
  std::uint64_t value = 0;
  return in >> value ? value : otherwise;
}

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t meminfo_bytes(const std::string& key) {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::uint64_t kib = 0;
    std::istringstream(line.substr(key.size())) >> kib;
    return kib * 1024;
  }
  return 0;
}

// CPUs' worth of time that the cgroup allows; 0 when it sets no limit.
double cgroup_cpu_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  double us = 0;
  // The quota is a number or "max".
  if (v2 >> quota >> period && period > 0 &&
      std::from_chars(quota.data(), quota.data() + quota.size(), us).ec == std::errc{}) {
    return us / period;
  }
  std::ifstream quota_v1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_v1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota_v1 >> us && period_v1 >> period && us > 0 && period > 0) return us / period;
  return 0;
}

}  // namespace

unsigned available_cpus() {
  unsigned count = 1;
  ::cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    count = static_cast<unsigned>(CPU_COUNT(&set));
  }
  const double quota = cgroup_cpu_quota();
  if (quota > 0) count = std::min(count, static_cast<unsigned>(std::max(1.0, quota)));
  return std::max(count, 1u);
}

MemoryInfo memory_info() {
  MemoryInfo info{meminfo_bytes("MemTotal:"), meminfo_bytes("MemAvailable:")};
  struct Files {
    const char* limit;
    const char* usage;
  };
  for (const Files& f : {Files{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
                         Files{"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                               "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    const std::uint64_t limit = number_in(f.limit, kNoLimit);
    if (limit >= info.total_bytes) continue;
    info.total_bytes = limit;
    const std::uint64_t used = number_in(f.usage, 0);
    info.available_bytes = std::min(info.available_bytes, limit > used ? limit - used : 0);
  }
  return info;
}

std::uint64_t raise_open_file_limit(std::uint64_t wanted) {
  ::rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < wanted) {
    ::rlimit more = limit;
    more.rlim_cur = std::min<::rlim_t>(wanted, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &more) == 0) limit = more;
  }
  return limit.rlim_cur;
}

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string cpu_model_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const auto colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  const ::passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

}  // namespace minerva
