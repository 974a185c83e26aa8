#include "base/cgroup.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace minerva {
namespace {

// Takes the text up to `separator` off the front.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

bool lists(std::string_view names, std::string_view name) {
  while (!names.empty()) {
    if (take(names, ',') == name) return true;
  }
  return false;
}

struct Mount {
  std::string root;  // the group that is shown at `path`
  std::string path;
  bool found = false;
};

// mountinfo writes blanks and backslashes as three octal digits.
std::string unescape(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(digits, digits + 3, value, 8).ptr == digits + 3) {
      result.push_back(static_cast<char>(value));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

// "36 35 0:29 /root /path options [tags…] - type source superoptions", proc(5)
Mount find_mount(std::string_view mounts, std::string_view controller, bool v2) {
  while (!mounts.empty()) {
    std::string_view line = take(mounts, '\n');
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view tail = line.substr(dash + 3);
    const std::string_view type = take(tail, ' ');
    take(tail, ' ');
    if (v2 ? type != "cgroup2" : type != "cgroup" || !lists(tail, controller)) continue;
    for (int skipped = 0; skipped < 3; ++skipped) take(line, ' ');
    std::string root = unescape(take(line, ' '));
    return {std::move(root), unescape(take(line, ' ')), true};
  }
  return {};
}

// The group's path from the mount's root on; "" when the mount does not show it, as in a container
// that sees its own group as the root but its path as the host's.
std::string below(std::string_view group, std::string_view root) {
  if (root == "/") return group == "/" ? "" : std::string(group);
  if (group.starts_with(root) && (group.size() == root.size() || group[root.size()] == '/')) {
    return std::string(group.substr(root.size()));
  }
  return "";
}

void add_folders(std::vector<CgroupFolder>& folders, const Mount& mount, std::string_view group,
                 bool v2) {
  std::string rest = below(group, mount.root);
  if (rest.find("..") != std::string::npos) rest.clear();  // a group outside of our namespace
  while (!rest.empty()) {
    folders.push_back({mount.path + rest, v2});
    rest.resize(rest.rfind('/') == std::string::npos ? 0 : rest.rfind('/'));
  }
  folders.push_back({mount.path, v2});
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  text = trimmed(text);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<CgroupFolder> cgroup_folders(std::string_view controller, std::string_view cgroups,
                                         std::string_view mounts) {
  std::vector<CgroupFolder> folders;
  while (!cgroups.empty()) {
    // "4:memory:/path" in version 1, "0::/path" in version 2.
    std::string_view line = take(cgroups, '\n');
    const std::string_view number = take(line, ':');
    const std::string_view controllers = take(line, ':');
    const bool v2 = number == "0" && controllers.empty();
    if (line.empty() || (!v2 && !lists(controllers, controller))) continue;
    const Mount mount = find_mount(mounts, controller, v2);
    if (mount.found) add_folders(folders, mount, line, v2);
  }
  return folders;
}

std::optional<std::uint64_t> cgroup_number(std::string_view text) {
  const auto value = number_of<std::uint64_t>(text);
  // Version 1 says "no limit" by the largest number of whole pages that 63 bits can hold.
  constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;
  return value && *value < kUnlimited ? value : std::nullopt;
}

std::uint64_t cgroup_reclaimable(std::string_view memory_stat, bool v2) {
  const std::array<std::string_view, 2> wanted =
      v2 ? std::array<std::string_view, 2>{"inactive_file", "active_file"}
         : std::array<std::string_view, 2>{"total_inactive_file", "total_active_file"};
  std::uint64_t sum = 0;
  while (!memory_stat.empty()) {
    std::string_view line = take(memory_stat, '\n');
    const std::string_view name = take(line, ' ');
    if (name != wanted[0] && name != wanted[1]) continue;
    sum += cgroup_number(line).value_or(0);
  }
  return sum;
}

std::optional<double> cgroup_cpus(std::string_view cpu_max) {
  const std::string_view quota = take(cpu_max, ' ');
  return cgroup_cpus(quota, cpu_max);
}

std::optional<double> cgroup_cpus(std::string_view quota_us, std::string_view period_us) {
  const auto quota = number_of<double>(quota_us);  // "max" or -1: no limit
  const auto period = number_of<double>(period_us);
  if (!quota || !period || !(*quota > 0) || !(*period > 0)) return std::nullopt;
  return *quota / *period;
}

}  // namespace minerva
