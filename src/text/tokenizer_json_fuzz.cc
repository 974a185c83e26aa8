// Any bytes as tokenizer.json and tokenizer_config.json (a zero byte between them): refused with an
// error, or a tokenizer whose ids are all tokens.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using minerva::text::Tokenizer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t end = bytes.find('\0');
  const std::string_view config =
      end == std::string_view::npos ? std::string_view() : bytes.substr(end + 1);
  const auto made =
      Tokenizer::from_json({.tokenizer = bytes.substr(0, end), .tokenizer_config = config});
  if (!made) {
    MINERVA_CHECK(!made.error().message.empty());
    return 0;
  }
  const Tokenizer& tokenizer = **made;
  for (const bool special : {false, true}) {
    // Part of the input is a text as good as any, with its tokens in it.
    const auto ids =
        tokenizer.encode(bytes.substr(0, 2000), {.add_special = special, .parse_special = special});
    if (!ids) continue;
    for (const minerva::TokenId id : *ids) {
      MINERVA_CHECK(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocab_size());
      // The unknown token may be a control token, and stands for what has none.
      MINERVA_CHECK(special || id == tokenizer.unk() ||
                    tokenizer.kind(id) != minerva::text::TokenKind::Control);
    }
    (void)tokenizer.decode(*ids, special);
  }
  return 0;
}
