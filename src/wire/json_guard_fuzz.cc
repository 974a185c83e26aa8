// Anything the guard lets through, the parser takes, and the value survives a dump and a second
// reading. So nothing behind check_json needs a second opinion.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "wire/json_guard.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace minerva::wire;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!check_json(text)) return 0;
  const auto value = parse_json(text);
  MINERVA_CHECK(value.has_value());
  const std::string written = dump_json(*value);
  const auto again = parse_json(written);
  MINERVA_CHECK(again.has_value());
  MINERVA_CHECK(dump_json(*again) == written);
  return 0;
}
