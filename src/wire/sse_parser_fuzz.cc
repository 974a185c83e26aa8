// The first byte says where the rest is split; the events must be those of the unsplit stream.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/sse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace minerva::wire;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr std::size_t kBytesMax = 64;
  SseParser whole(kBytesMax);
  std::vector<SseEvent> expected;
  const bool whole_fed = whole.feed(bytes, expected).has_value();

  SseParser split(kBytesMax);
  std::vector<SseEvent> events;
  const std::size_t step = std::size_t{data[0]} % 7 + 1;
  bool fed = true;
  for (std::size_t i = 0; i < bytes.size() && fed; i += step) {
    fed = split.feed(bytes.substr(i, step), events).has_value();
  }
  MINERVA_CHECK(fed == whole_fed);
  MINERVA_CHECK(events == expected);
  if (fed) MINERVA_CHECK(split.at_boundary() == whole.at_boundary());

  // What we write is read back as one event with the same data, but for the kind of newlines.
  std::string written;
  sse_data(written, bytes);
  SseParser reader;
  std::vector<SseEvent> back;
  MINERVA_CHECK(reader.feed(written, back).has_value());
  MINERVA_CHECK(back.size() == 1);
  return 0;
}
