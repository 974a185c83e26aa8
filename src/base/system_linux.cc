#include <malloc.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cgroup.h"
#include "base/system.h"

namespace minerva {
namespace {

std::string contents_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

std::vector<CgroupFolder> own_groups(std::string_view controller) {
  return cgroup_folders(controller, contents_of("/proc/self/cgroup"),
                        contents_of("/proc/self/mountinfo"));
}

// "Key:   123 kB", as in /proc/meminfo and /proc/PID/smaps_rollup; 0 where there is none.
std::uint64_t kib_line_bytes(const std::string& text, const std::string& key) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::uint64_t kib = 0;
    std::istringstream(line.substr(key.size())) >> kib;
    return kib * 1024;
  }
  return 0;
}

// CPUs' worth of time that the cgroups allow; 0 when they set no limit.
double cgroup_cpu_quota() {
  double least = 0;
  for (const CgroupFolder& group : own_groups("cpu")) {
    const auto cpus = group.v2 ? cgroup_cpus(contents_of(group.path + "/cpu.max"))
                               : cgroup_cpus(contents_of(group.path + "/cpu.cfs_quota_us"),
                                             contents_of(group.path + "/cpu.cfs_period_us"));
    if (cpus && (least == 0 || *cpus < least)) least = *cpus;
  }
  return least;
}

// Lowers what the machine has to what one group allows.
void apply_limit(MemoryInfo& info, const CgroupFolder& group) {
  const auto number = [&](const char* file) {
    return cgroup_number(contents_of(group.path + "/" + file));
  };
  auto limit = number(group.v2 ? "memory.max" : "memory.limit_in_bytes");
  // Above memory.high the kernel slows its members down until they give memory back.
  if (const auto high = group.v2 ? number("memory.high") : std::nullopt) {
    limit = std::min(limit.value_or(*high), *high);
  }
  if (!limit) return;
  const std::uint64_t usage =
      number(group.v2 ? "memory.current" : "memory.usage_in_bytes").value_or(0);
  const std::uint64_t reclaimable =
      cgroup_reclaimable(contents_of(group.path + "/memory.stat"), group.v2);
  const std::uint64_t held = usage - std::min(usage, reclaimable);
  info.total_bytes = std::min(info.total_bytes, *limit);
  info.available_bytes = std::min(info.available_bytes, *limit - std::min(*limit, held));
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
  const std::string machine = contents_of("/proc/meminfo");
  MemoryInfo info{kib_line_bytes(machine, "MemTotal:"), kib_line_bytes(machine, "MemAvailable:")};
  for (const CgroupFolder& group : own_groups("memory")) apply_limit(info, group);
  return info;
}

void return_large_blocks_at_once() {
#ifdef __GLIBC__
  // Unless they are set, both limits grow with each large block that is freed (mallopt(3)), to 32
  // and 64 MiB for every thread's heap; a thread that loaded a model kept 20 to 40 MiB of it.
  constexpr int kMappedFrom = 4 << 20;  // larger than what a step of an answer allocates
  ::mallopt(M_MMAP_THRESHOLD, kMappedFrom);
  ::mallopt(M_TRIM_THRESHOLD, kMappedFrom);
#endif
}

void return_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
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

ProportionalBytes proportional_bytes(std::int64_t pid) {
  const std::string process = pid == 0 ? "self" : std::to_string(pid);
  const std::string text = contents_of("/proc/" + process + "/smaps_rollup");
  return {kib_line_bytes(text, "Pss:"), kib_line_bytes(text, "Pss_File:")};
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
