#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/bpe_model.h"
#include "text/special_matcher.h"
#include "text/spm_model.h"

namespace minerva::text {

struct Tokenizer::Parts {
  Vocabulary vocabulary;
  std::unique_ptr<const TokenModel> model;
  std::string model_name;
  std::string pre_name;
  bool add_bos = false;
  bool add_eos = false;
  SpecialMatcher user_defined;  // looked for in every text
  SpecialMatcher all_special;   // and these with parse_special
};

namespace {

struct ModelRow {
  std::string_view name;  // tokenizer.ggml.model
  Result<std::unique_ptr<const TokenModel>> (*build)(const Vocabulary&, const VocabularySource&);
};

constexpr ModelRow kModels[] = {{"gpt2", BpeModel::build}, {"llama", SpmModel::build}};

Result<std::unique_ptr<const TokenModel>> build_model(const Vocabulary& vocabulary,
                                                      const VocabularySource& source) {
  std::string known;
  for (const ModelRow& row : kModels) {
    if (row.name == source.model) return row.build(vocabulary, source);
    known += (known.empty() ? "" : ", ");
    known += row.name;
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("tokenizer {} (tokenizer.ggml.model) is not supported; known: {}",
                          quoted_piece(source.model), known),
              "tokenizer.ggml.model");
}

using WrittenTokens = std::vector<std::pair<std::string, TokenId>>;

Result<void> collect_special(const Vocabulary& vocabulary, WrittenTokens& user_defined,
                             WrittenTokens& all) {
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenKind kind = vocabulary.kind(id);
    const std::string_view piece = vocabulary.piece(id);
    if (piece.empty() || (is_plain_text(kind) && kind != TokenKind::UserDefined)) continue;
    if (piece.size() > kSpecialBytesMax) {
      return fail(
          ErrorCode::InvalidModel,
          fmt::format("tokenizer.ggml.tokens[{}], a special token, has {} bytes; at most {} "
                      "are possible",
                      i, piece.size(), kSpecialBytesMax),
          "tokenizer.ggml.tokens");
    }
    all.emplace_back(piece, id);
    if (kind == TokenKind::UserDefined) user_defined.emplace_back(piece, id);
  }
  return {};
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const formats::GgufFile& file) {
  MINERVA_ASSIGN(const VocabularySource source, read_gguf_vocabulary(file));
  return from_source(source);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_source(const VocabularySource& source) {
  auto parts = std::make_unique<Parts>();
  MINERVA_ASSIGN(parts->vocabulary, Vocabulary::build(source));
  MINERVA_ASSIGN(parts->model, build_model(parts->vocabulary, source));
  parts->model_name = source.model;
  // SPM cuts no words beforehand; its files name a pre-tokenizer that means nothing.
  if (source.model == "gpt2") parts->pre_name = source.pre.value_or("default");
  parts->add_bos = source.add_bos.value_or(parts->model->add_bos_by_default());
  parts->add_eos = source.add_eos.value_or(false);
  WrittenTokens user_defined;
  WrittenTokens all;
  MINERVA_TRY(collect_special(parts->vocabulary, user_defined, all));
  parts->user_defined = SpecialMatcher(std::move(user_defined));
  parts->all_special = SpecialMatcher(std::move(all));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(parts)));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kEncodeBytesMax) {
    return fail(ErrorCode::TooLarge, fmt::format("the text has {} bytes; at most {} can be encoded",
                                                 text.size(), kEncodeBytesMax));
  }
  const SpecialMatcher& special =
      options.parse_special ? parts_->all_special : parts_->user_defined;
  std::vector<TokenId> out;
  std::size_t at = 0;
  std::optional<SpecialMatcher::Match> match = special.next(text, 0);
  if (options.add_special && adds_bos()) {
    const bool written = match && match->begin == 0 && match->id == *bos();
    if (!written) out.push_back(*bos());
  }
  bool after_special = true;
  while (match) {
    if (match->begin > at) {
      MINERVA_TRY(parts_->model->encode(text.substr(at, match->begin - at), after_special, out));
    }
    out.push_back(match->id);
    after_special = true;
    at = match->begin + match->length;
    match = special.next(text, at);
  }
  if (at < text.size()) MINERVA_TRY(parts_->model->encode(text.substr(at), after_special, out));
  if (options.add_special && adds_eos()) out.push_back(*eos());
  return out;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (!parts_->vocabulary.contains(id)) return {};
  return parts_->model->token_bytes()[static_cast<std::size_t>(id)];
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string out;
  bool at_start = parts_->model->adds_space_prefix();
  for (const TokenId id : ids) {
    const bool plain = is_plain_text(kind(id));
    if (!plain && !special) continue;
    std::string_view bytes = token_bytes(id);
    if (plain && at_start) {
      if (bytes.starts_with(' ')) bytes.remove_prefix(1);
      at_start = false;
    }
    out += bytes;
  }
  return out;
}

std::size_t Tokenizer::vocab_size() const { return parts_->vocabulary.size(); }

TokenKind Tokenizer::kind(TokenId id) const {
  return parts_->vocabulary.contains(id) ? parts_->vocabulary.kind(id) : TokenKind::Unused;
}

std::string_view Tokenizer::piece(TokenId id) const {
  return parts_->vocabulary.contains(id) ? parts_->vocabulary.piece(id) : std::string_view();
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  const TokenId id = parts_->vocabulary.find(piece);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::optional<TokenId> Tokenizer::bos() const { return parts_->vocabulary.bos; }
std::optional<TokenId> Tokenizer::eos() const { return parts_->vocabulary.eos; }
std::optional<TokenId> Tokenizer::eot() const { return parts_->vocabulary.eot; }
std::optional<TokenId> Tokenizer::unk() const { return parts_->vocabulary.unk; }
std::optional<TokenId> Tokenizer::pad() const { return parts_->vocabulary.pad; }
bool Tokenizer::adds_bos() const { return parts_->add_bos && bos(); }
bool Tokenizer::adds_eos() const { return parts_->add_eos && eos(); }

std::span<const TokenId> Tokenizer::end_of_generation() const {
  return parts_->vocabulary.end_of_generation;
}

bool Tokenizer::is_end_of_generation(TokenId id) const {
  const std::span<const TokenId> ends = end_of_generation();
  return std::binary_search(ends.begin(), ends.end(), id);
}

std::string_view Tokenizer::model_name() const { return parts_->model_name; }
std::string_view Tokenizer::pre_name() const { return parts_->pre_name; }

}  // namespace minerva::text
