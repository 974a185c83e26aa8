#include "support/byte_vocab.h"

#include "base/utf8.h"

namespace minerva::test {
namespace {

constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kControl = 3;

// How a byte-level vocabulary writes its bytes: those that print as themselves, the others as the
// characters from U+0100 on, in order.
std::vector<std::string> byte_pieces() {
  std::vector<std::string> pieces;
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
                        (byte >= 0xae && byte <= 0xff);
    std::string piece;
    utf8_append(piece, prints ? static_cast<char32_t>(byte) : next++);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace

GgufWriter byte_vocab(const ByteVocabOptions& options) {
  std::vector<std::string> pieces = byte_pieces();
  std::vector<std::int32_t> kinds(pieces.size(), kNormal);
  for (const std::string_view control : kByteVocabControls) {
    pieces.emplace_back(control);
    kinds.push_back(kControl);
  }
  // There must be one; this one needs a byte 0 twice, and makes the last token.
  const std::vector<std::string> merges = {pieces[0] + " " + pieces[0]};
  pieces.push_back(pieces[0] + pieces[0]);
  kinds.push_back(kNormal);
  GgufWriter writer;
  writer.add_string("general.architecture", options.architecture)
      .add_string("general.name", "Bytes")
      .add_u32(options.architecture + ".context_length", options.context_length)
      .add_string("tokenizer.ggml.model", "gpt2")
      .add_string("tokenizer.ggml.pre", "gpt-2")
      .add_strings("tokenizer.ggml.tokens", pieces)
      .add_i32s("tokenizer.ggml.token_type", kinds)
      .add_strings("tokenizer.ggml.merges", merges)
      .add_u32("tokenizer.ggml.bos_token_id", 256)
      .add_u32("tokenizer.ggml.eos_token_id", 257)
      .add_bool("tokenizer.ggml.add_bos_token", options.add_bos);
  if (!options.chat_template.empty()) {
    writer.add_string("tokenizer.chat_template", options.chat_template);
  }
  return writer;
}

std::string_view byte_vocab_template() {
  return "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
         "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
}

}  // namespace minerva::test
