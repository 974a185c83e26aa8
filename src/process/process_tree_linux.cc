#include "process/process_tree.h"

#include <dirent.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>

#include "base/system.h"

namespace minerva::process {
namespace {

std::string contents_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::int64_t> all_pids() {
  std::vector<std::int64_t> pids;
  const auto close = [](::DIR* folder) { ::closedir(folder); };
  const std::unique_ptr<::DIR, decltype(close)> folder(::opendir("/proc"));
  if (folder == nullptr) return pids;
  while (const ::dirent* entry = ::readdir(folder.get())) {
    if (const auto pid = number_of<std::int64_t>(entry->d_name)) pids.push_back(*pid);
  }
  return pids;
}

std::vector<ProcessStat> all_processes() {
  std::vector<ProcessStat> found;
  for (const std::int64_t pid : all_pids()) {
    const auto stat = parse_process_stat(contents_of(fmt::format("/proc/{}/stat", pid)));
    if (stat) found.push_back(*stat);
  }
  return found;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view line) {
  // The second field is the program's name in parentheses, which may hold blanks and parentheses.
  const std::size_t open = line.find(" (");
  const std::size_t close = line.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return std::nullopt;
  }
  std::array<std::string_view, 15> fields{};  // from the third on, as proc(5) counts them
  std::string_view rest = line.substr(close + 2);
  for (std::string_view& field : fields) {
    const std::size_t end = rest.find(' ');
    if (end == std::string_view::npos) return std::nullopt;
    field = rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
  const auto pid = number_of<std::int64_t>(line.substr(0, open));
  const auto parent = number_of<std::int64_t>(fields[1]);
  const auto session = number_of<std::int64_t>(fields[3]);
  if (!pid || !parent || !session || fields[0].size() != 1) return std::nullopt;
  ProcessStat stat{*pid, fields[0][0], *parent, *session, 0};
  for (const std::size_t i : {11u, 12u, 13u, 14u}) {  // utime, stime, cutime, cstime
    stat.ticks += number_of<std::uint64_t>(fields[i]).value_or(0);
  }
  return stat;
}

std::vector<ProcessStat> descendants(std::int64_t root) {
  std::unordered_map<std::int64_t, std::vector<ProcessStat>> children;
  for (const ProcessStat& process : all_processes()) children[process.parent].push_back(process);
  std::vector<ProcessStat> found;
  const auto add_children = [&](std::int64_t parent) {
    const auto at = children.find(parent);
    if (at == children.end()) return;
    found.insert(found.end(), at->second.begin(), at->second.end());
    // Each list is used once, so a number that came back during the walk makes no circle.
    children.erase(at);
  };
  add_children(root);
  for (std::size_t i = 0; i < found.size(); ++i) add_children(found[i].pid);
  return found;
}

std::vector<ProcessStat> members_of_session(std::int64_t session) {
  std::vector<ProcessStat> found = all_processes();
  std::erase_if(found, [&](const ProcessStat& p) { return p.session != session; });
  return found;
}

TreeUsage usage_of(const std::vector<ProcessStat>& processes) {
  TreeUsage usage;
  std::uint64_t ticks = 0;
  for (const ProcessStat& process : processes) {
    if (process.state == 'Z' || process.state == 'X') continue;
    const ProportionalBytes memory = proportional_bytes(process.pid);
    usage.pss_bytes += memory.total;
    usage.mapped_bytes += memory.files;
    ticks += process.ticks;
    ++usage.processes;
  }
  const long ticks_per_second = std::max(1L, ::sysconf(_SC_CLK_TCK));
  usage.cpu_time = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
      static_cast<double>(ticks) / static_cast<double>(ticks_per_second)));
  return usage;
}

void kill_from_outside(std::int64_t reaper) {
  if (reaper <= 1) return;  // 0, 1 and negative numbers mean others to kill()
  // Each round reaches those that were born during the one before; what forks faster than this
  // must be left.
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    bool any = false;
    for (const ProcessStat& process : descendants(reaper)) {
      if (process.state == 'Z' || process.state == 'X') continue;
      any |= ::kill(static_cast<::pid_t>(process.pid), SIGKILL) == 0;
    }
    if (!any) break;
  }
  ::kill(static_cast<::pid_t>(reaper), SIGKILL);
}

std::vector<std::int64_t> processes_with_environment(std::string_view entry) {
  std::vector<std::int64_t> found;
  for (const std::int64_t pid : all_pids()) {
    const std::string environment = contents_of(fmt::format("/proc/{}/environ", pid));
    std::string_view rest = environment;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\0'), rest.size());
      if (rest.substr(0, end) == entry) {
        found.push_back(pid);
        break;
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return found;
}

}  // namespace minerva::process
