// Which folders of the cgroup file system hold the limits of a process, and what their files say.
// Pure functions over the text of files; system.h reads them. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace minerva {

// A group that a process is in, for one resource.
struct CgroupFolder {
  std::string path;
  bool v2 = false;
};

// The process's own group, then each one above it as far as this mount shows them: the limits of
// all of them hold. `controller`: "memory" or "cpu"; `cgroups`: /proc/PID/cgroup; `mounts`:
// /proc/PID/mountinfo. Where version 1 and 2 are both mounted, the folders of both: a controller
// is in one of them only, and the files of the other do not exist.
std::vector<CgroupFolder> cgroup_folders(std::string_view controller, std::string_view cgroups,
                                         std::string_view mounts);

// The number in a file that holds nothing else; none for "max", for what version 1 writes when
// there is no limit, and for what is no number.
std::optional<std::uint64_t> cgroup_number(std::string_view text);

// Bytes of file pages that the group can give back, from memory.stat: with those of the groups
// below it, as its usage is counted.
std::uint64_t cgroup_reclaimable(std::string_view memory_stat, bool v2);

// Processors' worth of time: cpu.max of version 2 ("150000 100000"), or both files of version 1.
std::optional<double> cgroup_cpus(std::string_view cpu_max);
std::optional<double> cgroup_cpus(std::string_view quota_us, std::string_view period_us);

}  // namespace minerva
