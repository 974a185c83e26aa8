// A peer's answer: head, body and lines, cut in two where the first byte says.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/http_response.h"

namespace {

using minerva::wire::ParseState;

std::vector<std::string> lines_of(std::string_view bytes, std::size_t cut) {
  minerva::wire::ResponseHeadParser parser(2048);
  std::vector<std::string> lines;
  minerva::wire::LineSplitter splitter(256);
  std::string held;
  std::size_t used = parser.feed(bytes.substr(0, cut));
  used += parser.feed(bytes.substr(used));
  if (parser.state() != ParseState::Complete) return lines;
  auto decoder = parser.body(4096, false);
  const std::size_t middle = used > cut ? used : cut;
  for (const std::string_view part : {bytes.substr(used, middle - used), bytes.substr(middle)}) {
    decoder.feed(part, held);
    const bool more = splitter.feed(held, [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    held.clear();
    if (!more) break;
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  MINERVA_CHECK(lines_of(bytes, bytes.size()) == lines_of(bytes, bytes.size() * data[0] / 255));
  return 0;
}
