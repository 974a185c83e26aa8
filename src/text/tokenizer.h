// Text to token ids and back, as the model was trained with.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "text/vocabulary.h"

namespace minerva::formats {
class GgufFile;
}

namespace minerva::text {

// Texts over this are refused with TooLarge: positions are 32 bits wide, and a text of one word
// needs some 40 bytes of working memory a byte.
inline constexpr std::size_t kEncodeBytesMax = std::size_t{1} << 30;

// What a model folder says about its tokenizer: the bytes of files, each empty where there is none.
struct TokenizerFiles {
  std::string_view tokenizer = {};           // tokenizer.json
  std::string_view tokenizer_config = {};    // tokenizer_config.json
  std::string_view special_tokens_map = {};  // special_tokens_map.json
  std::string_view generation_config = {};   // generation_config.json
  std::string_view config = {};              // config.json
};

struct EncodeOptions {
  bool add_special = false;     // BOS and EOS, where the model asks for them
  bool parse_special = false;   // control tokens written in the text become those tokens;
                                // user-defined tokens always do
  bool repeat_special = false;  // a text that begins with the BOS token gets a second one
};

// Immutable and shared; any thread. Building one fails with InvalidModel (the vocabulary is broken)
// or Unsupported (a kind of tokenizer that is not here, named). Functions that take an id accept
// any number: one that is no token is empty text.
class Tokenizer {
 public:
  // The same of a model folder. The views need to live for this call only.
  static Result<std::shared_ptr<const Tokenizer>> from_json(const TokenizerFiles& files);
  // Copies what it needs; the file may go away.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const formats::GgufFile& file);
  // The views in `source` need to live for this call only.
  static Result<std::shared_ptr<const Tokenizer>> from_source(const VocabularySource& source);

  ~Tokenizer();

  // Any bytes are allowed. What is not UTF-8 is encoded byte by byte; a byte-level vocabulary that
  // lacks a byte's token drops the byte, as its reference does; an SPM vocabulary that has neither
  // the byte nor an unknown token makes it an InvalidModel error. With add_special and
  // parse_special, a text that begins with the BOS token gets no second one unless repeat_special.
  Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options = {}) const;

  // What the token stands for in text, byte-level and U+2581 undone; it may end inside a character
  // (see Utf8Stream). A control token's is the way it is written.
  std::string_view token_bytes(TokenId id) const;

  // The tokens' bytes, joined. Control and unknown tokens are left out unless `special`. The space
  // that encode() put before the text (SPM) is removed; a stream of token_bytes() keeps it.
  std::string decode(std::span<const TokenId> ids, bool special = false) const;

  std::size_t vocab_size() const;
  TokenKind kind(TokenId id) const;          // Unused for what is no token
  std::string_view piece(TokenId id) const;  // as the vocabulary writes it
  std::optional<TokenId> find(std::string_view piece) const;

  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  std::optional<TokenId> eot() const;
  std::optional<TokenId> unk() const;
  std::optional<TokenId> pad() const;
  bool adds_bos() const;
  bool adds_eos() const;

  // Tokens that end an answer, in rising order.
  std::span<const TokenId> end_of_generation() const;
  bool is_end_of_generation(TokenId id) const;

  std::string_view model_name() const;  // "gpt2", "llama"; of tokenizer.json also "char-bpe"
  // The pre-tokenizer as the file names it; "" for SPM, "tokenizer.json" where that describes it.
  std::string_view pre_name() const;

 private:
  struct Parts;
  struct Walk;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace minerva::text
