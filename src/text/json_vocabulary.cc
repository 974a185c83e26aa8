#include "text/json_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "formats/json_text.h"
#include "text/space_mark.h"
#include "text/special_matcher.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

// As VocabularySource counts them.
constexpr std::int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5,
                       kByte = 6;

Result<json> parse_object(std::string_view bytes, std::string_view name) {
  if (bytes.empty()) return json::object();
  auto value = formats::parse_json_text(bytes);
  if (!value) return fail(std::move(value.error()).in(name));
  if (value->is_object()) return value;
  return fail(ErrorCode::InvalidModel, fmt::format("{} is no JSON object", name),
              std::string(name));
}

// A special token as tokenizer_config.json writes it: a string, or an object that has "content".
std::optional<std::string_view> token_text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  const json* text = &*found;
  if (text->is_object()) {
    const auto content = text->find("content");
    if (content == text->end()) return std::nullopt;
    text = &*content;
  }
  if (!text->is_string()) return std::nullopt;
  return std::string_view(text->get_ref<const std::string&>());
}

Result<WordKind> kind_of_model(std::string_view type) {
  constexpr std::array<std::pair<std::string_view, WordKind>, 4> kKinds = {
      {{"BPE", WordKind::Bpe},
       {"Unigram", WordKind::Unigram},
       {"WordPiece", WordKind::WordPiece},
       {"WordLevel", WordKind::WordLevel}}};
  for (const auto& [known, kind] : kKinds) {
    if (known == type) return kind;
  }
  return unsupported_tokenizer(
      fmt::format("model {} (BPE, Unigram, WordPiece and WordLevel are)", quoted_piece(type)));
}

std::optional<bool> flag(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

}  // namespace

Result<void> JsonVocabulary::read(const TokenizerFiles& files) {
  MINERVA_ASSIGN(json_, read_tokenizer_json(files.tokenizer));
  if (!json_.rest.is_object()) return broken_tokenizer("it is no object");
  MINERVA_TRY(read_model());
  MINERVA_TRY(place_pieces());
  MINERVA_TRY(place_added_tokens());
  MINERVA_TRY(place_later_tokens(files));
  MINERVA_TRY(resolve_merges());
  MINERVA_TRY(read_special_tokens(files));
  return add_answer_ends(files);
}

Result<void> JsonVocabulary::read_model() {
  const auto model = json_.rest.find("model");
  if (model == json_.rest.end() || !model->is_object()) return broken_tokenizer("no model");
  // Files from before the field are told by their merges.
  const bool merges = json_.merge_sides.size() > 0;
  MINERVA_ASSIGN(const auto type, string_of(*model, "type", merges ? "BPE" : "", "model"));
  MINERVA_ASSIGN(const WordKind kind, kind_of_model(type));
  const bool listed = !json_.scores.empty();
  if (!json_.has_vocab || listed != (kind == WordKind::Unigram)) {
    return broken_tokenizer(fmt::format("model.vocab is missing or no {}",
                                        kind == WordKind::Unigram ? "list" : "object"));
  }
  MINERVA_ASSIGN(components_, read_components(json_.rest, kind));
  if (components_.word_cutter && !merges) return broken_tokenizer("model.merges is empty");
  const auto dropout = model->find("dropout");
  if (dropout != model->end() && !dropout->is_null() && *dropout != 0) {
    return unsupported_tokenizer("model.dropout, which makes tokens random,");
  }
  MINERVA_ASSIGN(const bool ignore_merges, flag_of(*model, "ignore_merges", false, "model"));
  MINERVA_ASSIGN(source_.fuse_missing, flag_of(*model, "fuse_unk", false, "model"));
  MINERVA_ASSIGN(const bool byte_fallback, flag_of(*model, "byte_fallback", false, "model"));
  source_.model = "gpt2";
  source_.from_tokenizer_json = true;
  source_.normalizer = components_.normalizer;
  source_.word_cutter = components_.word_cutter;
  source_.byte_cutter = components_.byte_cutter;
  source_.char_bpe = components_.char_bpe;
  source_.pipeline = components_.pipeline;
  source_.before = components_.around.before;
  source_.after = components_.around.after;
  if (source_.word_cutter) source_.word_cutter->ignore_merges = ignore_merges;
  if (source_.pipeline) source_.pipeline->ignore_merges = ignore_merges;
  if (source_.char_bpe) {
    source_.char_bpe->ignore_merges = ignore_merges;
    source_.char_bpe->byte_fallback = byte_fallback;
  }
  return {};
}

Result<void> JsonVocabulary::place_pieces() {
  const PieceList& pieces = *json_.pieces;
  vocab_ = TokenMap(json_.pieces, pieces.size());
  const bool bytes = (source_.char_bpe && source_.char_bpe->byte_fallback) ||
                     (source_.pipeline && source_.pipeline->byte_fallback);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view piece = pieces[i];
    const std::uint64_t id = json_.ids[i];
    if (id >= kVocabSizeMax) {
      return broken_tokenizer(fmt::format("model.vocab[{}] is {}; ids are under {}",
                                          quoted_piece(piece), id, kVocabSizeMax));
    }
    vocab_.add(static_cast<TokenId>(i));
    if (!piece.empty() && vocab_.find(piece) != static_cast<TokenId>(i)) {
      return broken_tokenizer(fmt::format("model.vocab has {} twice", quoted_piece(piece)));
    }
    if (id >= source_.pieces.size()) {
      source_.pieces.resize(id + 1);
      source_.kinds.resize(id + 1, kUnused);
      taken_.resize(id + 1);
    }
    if (taken_[id]) {
      return broken_tokenizer(fmt::format("model.vocab: {} and {} both have the id {}",
                                          quoted_piece(source_.pieces[id]), quoted_piece(piece),
                                          id));
    }
    taken_[id] = true;
    source_.pieces[id] = piece;
    source_.kinds[id] = bytes && byte_of_piece(piece) ? kByte : kNormal;
  }
  return {};
}

Result<void> JsonVocabulary::place_added_tokens() {
  const auto added = json_.rest.find("added_tokens");
  if (added == json_.rest.end() || added->is_null()) return {};
  if (!added->is_array()) return broken_tokenizer("added_tokens is no list");
  std::size_t index = 0;
  for (const json& token : *added) {
    MINERVA_TRY(place_added_token(token, fmt::format("added_tokens[{}]", index++)));
  }
  return {};
}

// Tokens that a fine-tune added without writing tokenizer.json anew; Hugging Face adds them when it
// loads the folder.
Result<void> JsonVocabulary::place_later_tokens(const TokenizerFiles& files) {
  MINERVA_ASSIGN(config_, parse_object(files.tokenizer_config, "tokenizer_config.json"));
  const auto decoder = config_.find("added_tokens_decoder");
  if (decoder != config_.end() && decoder->is_object()) {
    late_tokens_.reserve(decoder->size());  // the pieces are views of them
    for (const auto& [key, token] : decoder->items()) {
      std::uint64_t id = 0;
      const char* const end = key.data() + key.size();
      const auto read = std::from_chars(key.data(), end, id);
      const bool known = id < taken_.size() && taken_[id];
      if (read.ptr != end || read.ec != std::errc{} || known || !token.is_object()) continue;
      late_tokens_.push_back(token);
      late_tokens_.back()["id"] = id;
      MINERVA_TRY(place_added_token(
          late_tokens_.back(), fmt::format("added_tokens_decoder[{}] of tokenizer_config", id)));
    }
  }
  if (!source_.matching.empty()) source_.matching.resize(source_.pieces.size());
  return {};
}

Result<void> JsonVocabulary::place_added_token(const json& token, const std::string& where) {
  if (!token.is_object()) return broken_tokenizer(where + " is no object");
  const auto number = token.find("id");
  if (number == token.end() || !number->is_number_unsigned() ||
      number->get<std::uint64_t>() >= kVocabSizeMax) {
    return broken_tokenizer(fmt::format("{}: its id is no number under {}", where, kVocabSizeMax));
  }
  const auto id = number->get<std::uint64_t>();
  MINERVA_ASSIGN(const std::string_view content, string_of(token, "content", "", where));
  MINERVA_ASSIGN(const bool special, flag_of(token, "special", false, where));
  MINERVA_ASSIGN(const bool normalized, flag_of(token, "normalized", !special, where));
  MINERVA_ASSIGN(const bool left, flag_of(token, "lstrip", false, where));
  MINERVA_ASSIGN(const bool right, flag_of(token, "rstrip", false, where));
  MINERVA_ASSIGN(const bool single_word, flag_of(token, "single_word", false, where));
  const auto named = [&](std::string_view flag) {
    return fmt::format("{} ({}) with {}", where, quoted_piece(content), flag);
  };
  if (content.size() > kSpecialBytesMax) {
    return broken_tokenizer(fmt::format("{} has {} bytes; at most {} are possible", where,
                                        content.size(), kSpecialBytesMax));
  }
  // The normalizer would put a space in front of the token as well.
  if (normalized && source_.char_bpe && source_.char_bpe->prefix == SpacePrefix::Always) {
    return unsupported_tokenizer(named("normalized and a normalizer that prepends"));
  }
  if (normalized && source_.char_bpe &&
      (content.find(' ') != std::string_view::npos ||
       content.find(kSpaceMark) != std::string_view::npos)) {
    return unsupported_tokenizer(named("normalized and a space in it"));
  }
  if (const auto same = id_of(content); same && *same != id) {
    return broken_tokenizer(fmt::format("{} ({}) has the id {}, but model.vocab has it as {}",
                                        where, quoted_piece(content), id, *same));
  }
  if (id >= source_.pieces.size()) {
    source_.pieces.resize(id + 1);
    source_.kinds.resize(id + 1, kUnused);
    taken_.resize(id + 1);
  }
  const bool again = source_.kinds[id] == kControl || source_.kinds[id] == kUserDefined;
  if (again || (taken_[id] && source_.pieces[id] != content)) {
    return broken_tokenizer(fmt::format("{} ({}) has the id {}, which is {} already", where,
                                        quoted_piece(content), id,
                                        quoted_piece(source_.pieces[id])));
  }
  taken_[id] = true;
  source_.pieces[id] = content;
  source_.kinds[id] = special ? kControl : kUserDefined;
  const int bits = (left ? kTakesSpaceLeft : 0) | (right ? kTakesSpaceRight : 0) |
                   (normalized ? kMatchedLater : 0) | (single_word ? kWholeWord : 0);
  if (id >= source_.matching.size()) source_.matching.resize(id + 1);
  source_.matching[id] = static_cast<std::uint8_t>(bits);
  return {};
}

std::optional<std::uint64_t> JsonVocabulary::id_of(std::string_view piece) const {
  const TokenId at = vocab_.find(piece);
  if (at == kNoToken) return std::nullopt;
  return json_.ids[static_cast<std::size_t>(at)];
}

Result<void> JsonVocabulary::resolve_merges() {
  const PieceList& sides = json_.merge_sides;
  source_.merge_ids.reserve(sides.size() / 2);
  const std::size_t prefix = source_.pipeline ? source_.pipeline->continuing_prefix.size() : 0;
  std::string merged;
  for (std::size_t i = 0; i + 1 < sides.size(); i += 2) {
    merged.assign(sides[i]);
    // A token that continues a word loses the mark of that when it is joined to what it continues.
    merged += sides[i + 1].substr(std::min(prefix, sides[i + 1].size()));
    const auto left = id_of(sides[i]);
    const auto right = id_of(sides[i + 1]);
    const auto both = id_of(merged);
    if (!left || !right || !both) {
      const std::string_view absent = !left    ? sides[i]
                                      : !right ? sides[i + 1]
                                               : std::string_view(merged);
      return broken_tokenizer(
          fmt::format("model.merges[{}] needs {}, which model.vocab does not "
                      "have",
                      i / 2, quoted_piece(absent)));
    }
    source_.merge_ids.push_back({static_cast<std::uint32_t>(*left),
                                 static_cast<std::uint32_t>(*right),
                                 static_cast<std::uint32_t>(*both)});
  }
  return {};
}

Result<void> JsonVocabulary::read_special_tokens(const TokenizerFiles& files) {
  const json& config = config_;
  MINERVA_ASSIGN(const json map, parse_object(files.special_tokens_map, "special_tokens_map.json"));
  // Added tokens are few: no index of them is kept.
  const auto find = [&](std::string_view text) -> std::optional<std::uint64_t> {
    if (const auto id = id_of(text)) return id;
    const auto at = std::ranges::find(source_.pieces, text);
    if (text.empty() || at == source_.pieces.end()) return std::nullopt;
    return static_cast<std::uint64_t>(at - source_.pieces.begin());
  };
  const auto special = [&](const char* key) -> std::optional<std::uint64_t> {
    auto text = token_text(config, key);
    if (!text) text = token_text(map, key);
    return text ? find(*text) : std::nullopt;
  };
  source_.bos = special("bos_token");
  source_.eos = special("eos_token");
  source_.unk = special("unk_token");
  source_.pad = special("pad_token");

  const json& model = json_.rest["model"];
  MINERVA_ASSIGN(const auto unknown, string_of(model, "unk_token", "", "model"));
  if (!unknown.empty()) {
    source_.missing = find(unknown);
    if (!source_.missing) {
      return broken_tokenizer(fmt::format("model.unk_token {} is no token", quoted_piece(unknown)));
    }
  }
  MINERVA_TRY(read_unknown_id(model));
  if (source_.missing) {
    source_.unk = source_.missing;
    const std::uint64_t id = *source_.missing;
    const bool characters = source_.char_bpe || source_.pipeline;
    if (characters && id != source_.bos && id != source_.eos) source_.kinds[id] = kUnknown;
  }

  // A flag in tokenizer_config.json says more than the post-processor, which was made from it.
  const Surroundings& around = components_.around;
  source_.add_bos = flag(config, "add_bos_token").value_or(!around.before.empty());
  source_.add_eos = flag(config, "add_eos_token").value_or(!around.after.empty());
  if (*source_.add_bos && around.before.size() == 1) source_.bos = around.before[0];
  if (*source_.add_eos && around.after.size() == 1) source_.eos = around.after[0];
  if (*source_.add_bos && !source_.bos && around.before.empty()) {
    return fail(ErrorCode::InvalidModel,
                "tokenizer_config.json: add_bos_token is on, but no token of the vocabulary is the "
                "bos_token",
                "tokenizer_config.json");
  }
  return {};
}

// Unigram's way to name the unknown token, and its scores.
Result<void> JsonVocabulary::read_unknown_id(const json& model) {
  if (!source_.pipeline || source_.pipeline->kind != WordKind::Unigram) return {};
  source_.scored = json_.scores.size();
  source_.log_probabilities = json_.scores;
  source_.log_probabilities.resize(source_.pieces.size());
  const auto found = model.find("unk_id");
  if (found == model.end() || found->is_null()) return {};
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() >= source_.scored) {
    return broken_tokenizer(
        fmt::format("model.unk_id is none of the {} tokens of model.vocab", source_.scored));
  }
  source_.missing = found->get<std::uint64_t>();
  return {};
}

Result<void> JsonVocabulary::add_answer_ends(const TokenizerFiles& files) {
  MINERVA_ASSIGN(const json generation,
                 parse_object(files.generation_config, "generation_config.json"));
  MINERVA_ASSIGN(const json config, parse_object(files.config, "config.json"));
  const auto listed = [](const json& object) {
    const auto found = object.find("eos_token_id");
    return found == object.end() || found->is_null() ? json() : *found;
  };
  json ends = listed(generation);
  if (ends.is_null()) ends = listed(config);
  if (ends.is_null()) {
    const auto text = config.find("text_config");
    if (text != config.end() && text->is_object()) ends = listed(*text);
  }
  if (ends.is_null()) return {};
  if (!ends.is_array()) ends = json::array({ends});
  for (const json& end : ends) {
    if (!end.is_number_unsigned()) {
      return fail(ErrorCode::InvalidModel,
                  "generation_config.json or config.json: eos_token_id is neither an id nor a list "
                  "of ids",
                  "eos_token_id");
    }
    source_.ends.push_back(end.get<std::uint64_t>());
  }
  if (!source_.eos && !source_.ends.empty()) source_.eos = source_.ends.front();
  return {};
}

}  // namespace minerva::text
