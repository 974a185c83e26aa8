#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/bpe_model.h"
#include "text/char_bpe_model.h"
#include "text/char_class.h"
#include "text/json_vocabulary.h"
#include "text/pipeline_model.h"
#include "text/special_matcher.h"
#include "text/spm_model.h"
#include "text/unicode.h"

namespace minerva::text {

namespace {

// Those that are looked for first, and those in what these leave over.
struct SpecialSet {
  SpecialMatcher first;
  SpecialMatcher later;
};

}  // namespace

struct Tokenizer::Parts {
  Vocabulary vocabulary;
  std::unique_ptr<const TokenModel> model;
  std::string model_name;
  std::string pre_name;
  bool add_bos = false;
  bool add_eos = false;
  std::shared_ptr<const Normalizer> normalizer;
  std::vector<TokenId> before;  // what encode() may add around a text
  std::vector<TokenId> after;
  SpecialSet user_defined;             // looked for in every text
  SpecialSet all_special;              // and these with parse_special
  std::vector<std::uint8_t> matching;  // VocabularySource::matching
};

namespace {

struct ModelRow {
  std::string_view name;  // tokenizer.ggml.model
  Result<std::unique_ptr<const TokenModel>> (*build)(const Vocabulary&, const VocabularySource&);
};

constexpr ModelRow kModels[] = {{"gpt2", BpeModel::build}, {"llama", SpmModel::build}};

Result<std::unique_ptr<const TokenModel>> build_model(const Vocabulary& vocabulary,
                                                      const VocabularySource& source) {
  if (source.char_bpe) return CharBpeModel::build(vocabulary, source);
  if (source.pipeline) return PipelineModel::build(vocabulary, source);
  std::string known = "bert, t5, gemma4";
  for (const ModelRow& row : kModels) {
    if (row.name == source.model) return row.build(vocabulary, source);
    known += ", ";
    known += row.name;
  }
  return fail(ErrorCode::Unsupported,
              fmt::format("tokenizer {} (tokenizer.ggml.model) is not supported; known: {}",
                          quoted_piece(source.model), known),
              "tokenizer.ggml.model");
}

using WrittenTokens = std::vector<std::pair<std::string, TokenId>>;

struct WrittenSet {
  WrittenTokens first;
  WrittenTokens later;
  SpecialSet matchers() && {
    return {SpecialMatcher(std::move(first)), SpecialMatcher(std::move(later))};
  }
};

// What the model is called: as GGUF files name it, or by its kind.
std::string name_of_model(const VocabularySource& source) {
  if (source.char_bpe && source.model == "gpt2") return "char-bpe";
  if (!source.pipeline || source.model != "gpt2") return std::string(source.model);
  switch (source.pipeline->kind) {
    case WordKind::WordPiece:
      return "word-piece";
    case WordKind::WordLevel:
      return "word-level";
    case WordKind::Unigram:
      return "unigram";
    case WordKind::Bpe:
      break;
  }
  return "word-bpe";
}

bool begins_with_word(std::string_view text) {
  if (text.empty()) return false;
  const Utf8Char c = utf8_next(text);
  return c.valid && is_word_character(c.code_point);
}

bool ends_with_word(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0 && text.size() - at < 4) {
    --at;
    if ((static_cast<std::uint8_t>(text[at]) & 0xc0) != 0x80) break;
  }
  return begins_with_word(text.substr(at));
}

// The length of `text` without the white space at its end.
std::size_t without_end_spaces(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    at += c.length;
    if (c.char_class != kSpace) end = at;
  }
  return end;
}

Result<void> collect_special(const Vocabulary& vocabulary, const VocabularySource& source,
                             WrittenSet& user_defined, WrittenSet& all) {
  const std::vector<std::uint8_t>& matching = source.matching;
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
    const bool later = !matching.empty() && (matching[i] & kMatchedLater) != 0;
    std::string written(piece);
    // They are looked for in text that was normalized.
    if (later && source.normalizer) {
      MINERVA_ASSIGN(written, source.normalizer->apply(piece));
      if (written.empty() || written.size() > kSpecialBytesMax) continue;
    }
    (later ? all.later : all.first).emplace_back(written, id);
    if (kind != TokenKind::UserDefined) continue;
    (later ? user_defined.later : user_defined.first).emplace_back(written, id);
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

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(const TokenizerFiles& files) {
  JsonVocabulary vocabulary;
  MINERVA_TRY(vocabulary.read(files));
  return from_source(vocabulary.source());
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_source(const VocabularySource& source) {
  auto parts = std::make_unique<Parts>();
  MINERVA_ASSIGN(parts->vocabulary, Vocabulary::build(source));
  MINERVA_ASSIGN(parts->model, build_model(parts->vocabulary, source));
  parts->model_name = name_of_model(source);
  // SPM cuts no words beforehand; its files name a pre-tokenizer that means nothing.
  if (source.model == "gpt2" && !source.word_cutter && !source.byte_cutter && !source.char_bpe) {
    parts->pre_name = source.pre.value_or("default");
  } else if (source.from_tokenizer_json) {
    parts->pre_name = "tokenizer.json";
  }
  parts->add_bos = source.add_bos.value_or(parts->model->add_bos_by_default());
  parts->add_eos = source.add_eos.value_or(false);
  const auto surround = [](const std::vector<std::uint64_t>& given, bool adds,
                           std::optional<TokenId> one) {
    std::vector<TokenId> out;
    for (const std::uint64_t id : given) out.push_back(static_cast<TokenId>(id));
    if (out.empty() && one) out.push_back(*one);
    if (!adds) out.clear();
    return out;
  };
  MINERVA_TRY(parts->vocabulary.check_ids("a token added before or after a text", source.before));
  MINERVA_TRY(parts->vocabulary.check_ids("a token added before or after a text", source.after));
  parts->before = surround(source.before, parts->add_bos, parts->vocabulary.bos);
  parts->after = surround(source.after, parts->add_eos, parts->vocabulary.eos);
  parts->normalizer = source.normalizer;
  parts->matching = source.matching;
  WrittenSet user_defined;
  WrittenSet all;
  MINERVA_TRY(collect_special(parts->vocabulary, source, user_defined, all));
  parts->user_defined = std::move(user_defined).matchers();
  parts->all_special = std::move(all).matchers();
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(parts)));
}

// One encode call.
struct Tokenizer::Walk {
  const Parts& parts;
  const SpecialSet& special;
  std::vector<TokenId>& out;
  bool begins_special = false;  // the text begins with a special token

  Result<void> whole(std::string_view text) {
    return between(special.first, text, true, [this](std::string_view stretch, bool at_start) {
      return normalized(stretch, at_start);
    });
  }

  Result<void> normalized(std::string_view text, bool at_start) {
    std::string changed;
    if (parts.normalizer) {
      MINERVA_ASSIGN(changed, parts.normalizer->apply(text));
      text = changed;
    }
    return between(special.later, text, at_start, [this](std::string_view stretch, bool first) {
      return parts.model->encode(stretch, first, out);
    });
  }

  // Appends the special tokens of `text`, and gives what stands between them to on_text.
  template <class OnText>
  Result<void> between(const SpecialMatcher& matcher, std::string_view text, bool at_start,
                       const OnText& on_text) {
    std::size_t at = 0;
    std::size_t from = 0;  // where the search goes on
    while (const auto match = matcher.next(text, from)) {
      std::size_t begin = match->begin;
      std::size_t end = begin + match->length;
      const auto place = static_cast<std::size_t>(match->id);
      const std::uint8_t bits = place < parts.matching.size() ? parts.matching[place] : 0;
      if ((bits & kWholeWord) != 0 &&
          (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) {
        from = end;
        continue;
      }
      if ((bits & kTakesSpaceLeft) != 0)
        begin = at + without_end_spaces(text.substr(at, begin - at));
      if ((bits & kTakesSpaceRight) != 0) end = run_of(text, end, kSpace);
      if (begin > at) MINERVA_TRY(on_text(text.substr(at, begin - at), at_start && at == 0));
      begins_special = begins_special || (at_start && begin == 0);
      out.push_back(match->id);
      at = from = end;
    }
    if (at < text.size()) MINERVA_TRY(on_text(text.substr(at), at_start && at == 0));
    return {};
  }
};

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kEncodeBytesMax) {
    return fail(ErrorCode::TooLarge, fmt::format("the text has {} bytes; at most {} can be encoded",
                                                 text.size(), kEncodeBytesMax));
  }
  std::vector<TokenId> out;
  const std::vector<TokenId>& before = parts_->before;
  if (options.add_special) out = before;
  const std::size_t begin = out.size();
  Walk walk{*parts_, options.parse_special ? parts_->all_special : parts_->user_defined, out};
  MINERVA_TRY(walk.whole(text));
  const bool written =
      !options.repeat_special && begin > 0 && walk.begins_special && out.size() >= 2 * begin &&
      std::equal(before.begin(), before.end(), out.begin() + static_cast<std::ptrdiff_t>(begin));
  if (written) out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(begin));
  if (options.add_special) out.insert(out.end(), parts_->after.begin(), parts_->after.end());
  return out;
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
  if (!parts_->vocabulary.contains(id)) return {};
  return parts_->model->token_bytes()[static_cast<std::size_t>(id)];
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string out;
  if (const PieceDecoder* decoder = parts_->model->decoder()) {
    std::vector<TokenId> shown;
    for (const TokenId id : ids) {
      if (parts_->vocabulary.contains(id) && (special || is_plain_text(kind(id)))) {
        shown.push_back(id);
      }
    }
    for (std::size_t i = 0; i < shown.size(); ++i) {
      out += decoder->text_of(piece(shown[i]), {.first = i == 0, .last = i + 1 == shown.size()});
    }
    decoder->finish(out);
    return out;
  }
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
