#include "models/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/mapped_file.h"
#include "formats/json_text.h"
#include "text/tokenizer_json_reader.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownBytesMax = 200;
constexpr float kNoScore = -1e6F;  // below every merge's

// How GGUF numbers the kinds of tokens.
std::int32_t kind_number(text::TokenKind kind) {
  switch (kind) {
    case text::TokenKind::Normal:
      return 1;
    case text::TokenKind::Unknown:
      return 2;
    case text::TokenKind::Control:
      return 3;
    case text::TokenKind::UserDefined:
      return 4;
    case text::TokenKind::Unused:
      return 5;
    case text::TokenKind::Byte:
      return 6;
  }
  return 5;
}

std::unexpected<Error> unsupported(std::string_view what) {
  return fail(ErrorCode::Unsupported,
              fmt::format("tokenizer.json: {}; such a vocabulary cannot be written to a GGUF file "
                          "here",
                          what),
              "tokenizer.json");
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && at != object.end() && at->is_string() ? at->get<std::string>()
                                                                     : std::string();
}

bool flag_of(const Json& object, const char* key, bool otherwise) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && at != object.end() && at->is_boolean() ? at->get<bool>() : otherwise;
}

// An empty object when there is none.
Json object_of(const Json& object, const char* key) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && at != object.end() && at->is_object() ? *at : Json::object();
}

// The steps of a part of tokenizer.json, a Sequence's apart.
std::vector<const Json*> steps_of(const Json& document, const char* key, const char* list) {
  const auto part = document.find(key);
  if (part == document.end() || !part->is_object()) return {};
  if (text_of(*part, "type") != "Sequence") return {&*part};
  std::vector<const Json*> steps;
  const auto inside = part->find(list);
  if (inside == part->end() || !inside->is_array()) return steps;
  for (const Json& step : *inside) steps.push_back(&step);
  return steps;
}

// The expressions that the published tokenizers split by, and the name that GGUF has for each.
// Those with ignore_merges take a word that is a token as that token.
struct KnownSplit {
  std::string_view expression;
  std::string_view name;
  std::string_view ignoring_merges;
};
constexpr KnownSplit kSplits[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+)"
     R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "dbrx", "llama-bpe"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+)"
     R"([\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2", ""},
};

Result<std::string> pre_name(const Json& document) {
  const bool ignores = flag_of(object_of(document, "model"), "ignore_merges", false);
  const auto steps = steps_of(document, "pre_tokenizer", "pretokenizers");
  std::string signature;
  std::string expression;
  for (const Json* step : steps) {
    const std::string type = text_of(*step, "type");
    signature += (signature.empty() ? "" : " ") + type;
    if (type == "ByteLevel" && flag_of(*step, "use_regex", true)) signature += "+";
    if (type == "Digits" && flag_of(*step, "individual_digits", false)) signature += "1";
    if (type == "Split") expression = text_of(object_of(*step, "pattern"), "Regex");
  }
  if (signature == "ByteLevel+" && !ignores) return "gpt-2";
  if (signature == "Digits1 ByteLevel+" && !ignores) return "smollm";
  if (signature == "Split ByteLevel") {
    for (const KnownSplit& known : kSplits) {
      const std::string_view name = ignores ? known.ignoring_merges : known.name;
      if (expression == known.expression && !name.empty()) return std::string(name);
    }
  }
  return unsupported(fmt::format(
      "its pre_tokenizer ({}{}{}) has no name that is known",
      escape_controls(signature.substr(0, kShownBytesMax)), expression.empty() ? "" : ": ",
      escape_controls(std::string_view(expression).substr(0, kShownBytesMax))));
}

// "left right" of each merge, best first. Blanks inside a side are what GGUF could not tell apart.
std::vector<std::string> merges_of(const text::TokenizerJson& json) {
  std::vector<std::string> merges;
  const std::size_t count = json.merge_sides.size() / 2;
  merges.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    merges.push_back(fmt::format("{} {}", json.merge_sides[2 * i], json.merge_sides[2 * i + 1]));
  return merges;
}

// SentencePiece joins the pair whose whole has the best score; so the rank of a token's best merge
// is what its score must say.
std::vector<float> scores_of(const text::TokenizerJson& json,
                             const std::vector<std::string_view>& pieces) {
  std::unordered_map<std::string, float> by_piece;
  for (std::size_t i = 0; i < json.merge_sides.size() / 2; ++i) {
    std::string whole(json.merge_sides[2 * i]);
    whole += json.merge_sides[2 * i + 1];
    by_piece.emplace(std::move(whole), -static_cast<float>(i));
  }
  std::vector<float> scores;
  for (const std::string_view piece : pieces) {
    const auto at = by_piece.find(std::string(piece));
    scores.push_back(at == by_piece.end() ? kNoScore : at->second);
  }
  return scores;
}

bool puts_space_in_front(const Json& document) {
  for (const Json* step : steps_of(document, "normalizer", "normalizers"))
    if (text_of(*step, "type") == "Prepend") return true;
  for (const Json* step : steps_of(document, "pre_tokenizer", "pretokenizers")) {
    if (text_of(*step, "type") != "Metaspace") continue;
    const std::string scheme = text_of(*step, "prepend_scheme");
    return scheme.empty() ? flag_of(*step, "add_prefix_space", true) : scheme != "never";
  }
  return false;
}

void add_id(formats::GgufMetadata& out, std::string_view name, std::optional<TokenId> id) {
  if (id)
    out.add_u32(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<std::uint32_t>(*id));
}

}  // namespace

Result<void> add_vocabulary_keys(const std::string& folder, const LoadedVocabulary& vocabulary,
                                 std::uint64_t rows, formats::GgufMetadata& metadata) {
  const text::Tokenizer& tokenizer = *vocabulary.tokenizer;
  const std::string path = (std::filesystem::path(folder) / "tokenizer.json").string();
  MINERVA_ASSIGN(const auto file, MappedFile::open(path));
  auto json = text::read_tokenizer_json(
      {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
  if (!json) return fail(std::move(json).error().in(path));
  const Json& document = json->rest;
  const std::string type = text_of(object_of(document, "model"), "type");
  if (!json->has_vocab || (!type.empty() && type != "BPE"))
    return unsupported(fmt::format("its model is \"{}\", and only BPE is known",
                                   escape_controls(type.substr(0, kShownBytesMax))));

  std::vector<std::string> unused;
  const std::size_t tokens = std::max<std::size_t>(tokenizer.vocab_size(), rows);
  for (std::size_t id = tokenizer.vocab_size(); id < tokens; ++id)
    unused.push_back(fmt::format("[PAD{}]", id));
  std::vector<std::string_view> pieces;
  std::vector<std::int32_t> kinds;
  for (std::size_t id = 0; id < tokens; ++id) {
    const bool there = id < tokenizer.vocab_size();
    pieces.push_back(there ? tokenizer.piece(static_cast<TokenId>(id))
                           : std::string_view(unused[id - tokenizer.vocab_size()]));
    kinds.push_back(
        kind_number(there ? tokenizer.kind(static_cast<TokenId>(id)) : text::TokenKind::Unused));
  }
  const auto cutters = steps_of(document, "pre_tokenizer", "pretokenizers");
  const bool bytes = std::ranges::any_of(
      cutters, [](const Json* step) { return text_of(*step, "type") == "ByteLevel"; });
  if (bytes) {
    MINERVA_ASSIGN(const std::string pre, pre_name(document));
    const std::vector<std::string> merges = merges_of(*json);
    metadata.add_string("tokenizer.ggml.model", "gpt2");
    metadata.add_string("tokenizer.ggml.pre", pre);
    metadata.add_strings("tokenizer.ggml.merges",
                         std::vector<std::string_view>(merges.begin(), merges.end()));
  } else {
    metadata.add_string("tokenizer.ggml.model", "llama");
    metadata.add_string("tokenizer.ggml.pre", "default");
    metadata.add_f32s("tokenizer.ggml.scores", scores_of(*json, pieces));
    metadata.add_bool("tokenizer.ggml.add_space_prefix", puts_space_in_front(document));
  }
  metadata.add_strings("tokenizer.ggml.tokens", pieces);
  metadata.add_i32s("tokenizer.ggml.token_type", kinds);
  add_id(metadata, "bos", tokenizer.bos());
  add_id(metadata, "eos", tokenizer.eos());
  add_id(metadata, "eot", tokenizer.eot());
  add_id(metadata, "unknown", tokenizer.unk());
  add_id(metadata, "padding", tokenizer.pad());
  metadata.add_bool("tokenizer.ggml.add_bos_token", tokenizer.adds_bos());
  metadata.add_bool("tokenizer.ggml.add_eos_token", tokenizer.adds_eos());
  if (!vocabulary.chat_template.empty())
    metadata.add_string("tokenizer.chat_template", vocabulary.chat_template);
  return {};
}

}  // namespace minerva::models
