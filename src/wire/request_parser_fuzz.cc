// The first byte says where the input is cut in two; what comes of it must not depend on the cut.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/http_body.h"
#include "wire/http_head.h"

namespace {

using minerva::wire::BodyDecoder;
using minerva::wire::HeadParser;
using minerva::wire::ParseState;

struct Outcome {
  ParseState head = ParseState::NeedMore;
  ParseState body = ParseState::NeedMore;
  std::string text;
  std::size_t taken = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t cut) {
  constexpr std::size_t kBodyMax = 4096;
  Outcome outcome;
  HeadParser parser(2048, 20);
  BodyDecoder decoder = BodyDecoder::sized(0, 0);
  bool in_body = false;
  for (std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
    if (!in_body) {
      const std::size_t used = parser.feed(part);
      outcome.taken += used;
      part.remove_prefix(used);
      if (parser.state() != ParseState::Complete) continue;
      in_body = true;
      const auto& head = parser.head();
      MINERVA_CHECK(!(head.chunked && head.content_length != 0));
      MINERVA_CHECK(!head.path.empty());
      decoder = head.chunked ? BodyDecoder::chunked(kBodyMax)
                             : BodyDecoder::sized(head.content_length, kBodyMax);
    }
    outcome.taken += decoder.feed(part, outcome.text);
  }
  MINERVA_CHECK(outcome.text.size() <= kBodyMax);
  outcome.head = parser.state();
  if (in_body) outcome.body = decoder.state();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = bytes.size() * data[0] / 255;
  const Outcome whole = parse(bytes, bytes.size());
  const Outcome split = parse(bytes, cut);
  MINERVA_CHECK(whole.head == split.head && whole.body == split.body);
  // A refusal may come a few bytes later or earlier, but never with another text before it.
  if (whole.body == ParseState::Complete) MINERVA_CHECK(whole == split);
  return 0;
}
