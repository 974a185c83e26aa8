#include "process/environment.h"

#include <algorithm>
#include <array>
#include <map>

namespace minerva::process {
namespace {

// What a program needs to be found, to write text and to see the clock as its user does; and which
// GPUs it may use. None of them names code to load or an address to ask.
constexpr std::array<std::string_view, 14> kPassedOn{
    "PATH",
    "LANG",
    "TZ",
    "TMPDIR",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HSA_OVERRIDE_GFX_VERSION",
    "GPU_DEVICE_ORDINAL",
    "GGML_VK_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
};
// locale(7)
constexpr std::array<std::string_view, 13> kLocale{
    "LC_ALL",      "LC_ADDRESS",   "LC_COLLATE",     "LC_CTYPE", "LC_IDENTIFICATION",
    "LC_MONETARY", "LC_MESSAGES",  "LC_MEASUREMENT", "LC_NAME",  "LC_NUMERIC",
    "LC_PAPER",    "LC_TELEPHONE", "LC_TIME",
};

bool passed_on(std::string_view name) {
  return std::ranges::find(kPassedOn, name) != kPassedOn.end() ||
         std::ranges::find(kLocale, name) != kLocale.end();
}

bool is_entry(std::string_view name, std::string_view value) {
  return !name.empty() && name.find_first_of(std::string_view("=\0", 2)) == name.npos &&
         value.find('\0') == value.npos;
}

}  // namespace

std::vector<std::string> child_environment(
    std::span<const std::string> ours, std::string_view private_home,
    std::span<const std::pair<std::string, std::string>> extra) {
  std::map<std::string, std::string, std::less<>> entries;
  for (const std::string_view entry : ours) {
    const std::size_t equals = entry.find('=');
    if (equals == entry.npos) continue;
    const std::string_view name = entry.substr(0, equals);
    // Where a name comes twice, getenv() takes the first, and so does emplace().
    if (passed_on(name)) entries.emplace(name, entry.substr(equals + 1));
  }
  entries.insert_or_assign("HOME", std::string(private_home));
  for (const auto& [name, value] : extra) {
    if (is_entry(name, value)) entries.insert_or_assign(name, value);
  }
  std::vector<std::string> result;
  for (const auto& [name, value] : entries) result.push_back(name + "=" + value);
  return result;
}

}  // namespace minerva::process
