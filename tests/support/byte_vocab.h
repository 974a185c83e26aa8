// A model file without weights whose tokens are the 256 bytes and four control tokens, with the
// same ids as the fake backend's, so that serve can be tested with both; and token 260, two NUL
// bytes, because a byte-level vocabulary must have one merge.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "support/gguf_writer.h"

namespace minerva::test {

// Control tokens behind the bytes, in the order of their ids from 256.
inline constexpr std::string_view kByteVocabControls[] = {"<|begin|>", "<|end|>", "<|im_start|>",
                                                          "<|im_end|>"};

struct ByteVocabOptions {
  std::string chat_template = {};  // empty: the file has none
  bool add_bos = false;
  std::string architecture = "llama";
  std::uint32_t context_length = 4096;
};

// Its metadata; more may be added, then bytes().
GgufWriter byte_vocab(const ByteVocabOptions& options = {});

// A template in ChatML's form, for this vocabulary.
std::string_view byte_vocab_template();

}  // namespace minerva::test
