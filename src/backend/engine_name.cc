#include "backend/engine_name.h"

#include <algorithm>

namespace minerva::backend {
namespace {

bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_small(c) || is_digit(c) || (c >= 'A' && c <= 'Z'); }

}  // namespace

bool is_remote_name(std::string_view name) {
  if (name.empty() || name.size() > kRemoteNameBytesMax || !is_alphanumeric(name.front()))
    return false;
  return std::ranges::all_of(
      name, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_engine_name(std::string_view name) {
  constexpr std::string_view kRemote = "remote:";
  if (name.starts_with(kRemote)) return is_remote_name(name.substr(kRemote.size()));
  if (name.empty() || name.size() > kRemoteNameBytesMax || name == "auto") return false;
  return std::ranges::all_of(name, [](char c) { return is_small(c) || is_digit(c) || c == '_'; });
}

}  // namespace minerva::backend
