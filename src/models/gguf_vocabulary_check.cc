// Does a file's tokenizer give the folder's ids? Asked before the file is written.
#include <fmt/format.h>

#include <array>

#include "base/log.h"
#include "base/utf8.h"
#include "models/gguf_tokenizer.h"

namespace minerva::models {
namespace {

constexpr std::array<std::string_view, 14> kTexts = {
    "The quick brown fox doesn't jump; it's 12345.67 meters away, and they'LL know!",
    "one  two   three\nfour\n\nfive\r\nsix\tseven \n eight",
    "camelCaseHTTPServer snake_case_2 x=3*(y+1)/z; // 100,000 == 0x1F",
    "Ma\u00f1ana \u00fcber \u00c5ngstr\u00f6m na\u00efve \u0130stanbul \u00bd \u00b2 \u00df",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0393\u03b5\u03b9\u03ac "
    "\u03c3\u03bf\u03c5 \u03ba\u03cc\u03c3\u03bc\u03b5",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 "
    "\ud55c\uad6d\uc5b4 \ubb38\uc7a5",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd "
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \u2192 \u20ac \u2026",
    "{\"a\": [1, 22, 333, 4444], \"b\": \"<tag attr='x'>&amp;</tag>\"}",
    "    if (x > 0) {\n        return \"y\\n\";\n    }\n\n\n",
    "a",
    "1234567890123456789",
    "!?.,;:-_()[]{}<>|~`@#$%^&*+=/\\",
    " begins and ends with a space ",
};
constexpr std::size_t kTokensMax = 512;
constexpr std::size_t kTokensATextMax = 16;

Result<void> compare(const GgufTokenizer& folder, const text::Tokenizer& file,
                     std::string_view text, text::EncodeOptions options) {
  const auto wanted = folder.tokenizer.encode(text, options);
  const auto got = file.encode(text, options);
  if (wanted && got && *wanted == *got) return {};
  if (!wanted && !got) return {};
  return not_in_gguf(fmt::format(
      "this tokenizer, which would make other tokens of the text \"{}\" when GGUF describes it,",
      escape_controls(text.substr(0, 80))));
}

// Some of the vocabulary's own tokens as texts, joined and apart.
std::vector<std::string> token_texts(const GgufTokenizer& folder) {
  std::vector<std::string> out;
  const std::size_t step = folder.tokenizer.vocab_size() / kTokensMax + 1;
  std::string joined;
  std::size_t count = 0;
  for (std::size_t id = 0; id < folder.tokenizer.vocab_size(); id += step) {
    if (!folder.is_normal(id)) continue;
    const auto one = static_cast<TokenId>(id);
    const std::string text = folder.tokenizer.decode(std::span(&one, 1));
    if (text.empty() || !utf8_valid(text)) continue;
    if (joined.empty() && text.front() == ' ') joined = "x";
    joined += text;
    if (++count % 2 == 0) joined += " ";
    if (count % kTokensATextMax != 0) continue;
    out.push_back(joined + "x");
    joined.clear();
  }
  if (!joined.empty()) out.push_back(joined + "x");
  return out;
}

}  // namespace

Result<void> check_same_ids(const GgufTokenizer& folder, const text::Tokenizer& file) {
  for (const std::string_view text : kTexts) {
    const bool at_ends = text.front() == ' ' || text.back() == ' ' || text.back() == '\n';
    if (folder.spaces_differ && at_ends) continue;
    MINERVA_TRY(compare(folder, file, text, {}));
    MINERVA_TRY(compare(folder, file, text, {.parse_special = true}));
    if (folder.surroundings_differ) continue;
    MINERVA_TRY(compare(folder, file, text, {.add_special = true}));
  }
  for (const std::string& text : token_texts(folder)) MINERVA_TRY(compare(folder, file, text, {}));
  return {};
}

}  // namespace minerva::models
