// Any source and any context, split at the first NUL: compile and render with little fuel. There is
// nothing to check but that it comes back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "chat/template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace minerva::chat;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = input.find('\0');
  TemplateLimits limits;
  limits.fuel_base = 20'000;
  limits.output_bytes_base = 4096;
  const auto made = ChatTemplate::compile(std::string(input.substr(0, cut)), limits);
  if (!made) return 0;
  Json context = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"now", 0}};
  if (cut != std::string_view::npos && input.size() < (1 << 16)) {
    // The callback refuses depth: making and freeing the value recurse.
    const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth < 60; };
    Json parsed = Json::parse(input.substr(cut + 1), shallow, /*allow_exceptions=*/false);
    if (parsed.is_object()) context = std::move(parsed);
  }
  (void)(*made)->render(context, 0);
  return 0;
}
