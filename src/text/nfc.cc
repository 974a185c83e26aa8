#include "text/nfc.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/utf8.h"

namespace minerva::text {
namespace {

// Below this nothing composes with what comes before it, and nothing is decomposed.
constexpr char32_t kFirstCombining = 0x300;

void append_composed(std::string_view valid, std::string& out) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (length < 0) {
    out += valid;  // out of memory is all that can go wrong with valid text
  } else {
    out.append(reinterpret_cast<const char*>(composed), static_cast<std::size_t>(length));
  }
}

}  // namespace

std::optional<std::string> nfc(std::string_view text) {
  bool plain = true;
  for (std::size_t at = 0; plain && at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    plain = !c.valid || c.code_point < kFirstCombining;
    at += c.length;
  }
  if (plain) return std::nullopt;
  std::string out;
  out.reserve(text.size());
  std::size_t begin = 0;  // of the valid run that at is in
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    if (!c.valid) {
      append_composed(text.substr(begin, at - begin), out);
      out += text.substr(at, c.length);
      begin = at + c.length;
    }
    at += c.length;
  }
  append_composed(text.substr(begin), out);
  return out == text ? std::nullopt : std::optional(std::move(out));
}

}  // namespace minerva::text
