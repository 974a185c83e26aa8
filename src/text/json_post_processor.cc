// The post-processor of tokenizer.json: the tokens it puts before and after a text.
#include <fmt/format.h>

#include <utility>

#include "text/json_components.h"
#include "text/json_parts.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

// In use are one or two.
constexpr std::size_t kSurroundingMax = 16;

Result<void> append_template_token(const json& step, const JsonPart& part,
                                   std::vector<std::uint64_t>& out) {
  MINERVA_ASSIGN(const auto name, string_of(step, "id", "", part.where()));
  const auto tokens = part.value->find("special_tokens");
  if (tokens != part.value->end() && tokens->is_object()) {
    const auto token = tokens->find(name);
    const auto ids =
        token == tokens->end() || !token->is_object() ? json() : token->value("ids", json());
    bool good = ids.is_array() && !ids.empty();
    for (std::size_t i = 0; good && i < ids.size(); ++i) good = ids[i].is_number_unsigned();
    if (good) {
      for (const json& id : ids) out.push_back(id.get<std::uint64_t>());
      if (out.size() <= kSurroundingMax) return {};
      return unsupported_tokenizer(fmt::format(
          "{} with more than {} tokens on one side of the text", part.where(), kSurroundingMax));
    }
  }
  return broken_tokenizer(
      fmt::format("{}: special_tokens has no ids for {}", part.where(), quoted_piece(name)));
}

Result<void> read_template(const JsonPart& part, Surroundings& out) {
  const auto single = part.value->find("single");
  if (single == part.value->end() || !single->is_array()) {
    return broken_tokenizer(fmt::format("{} has no list \"single\"", part.where()));
  }
  bool text_seen = false;
  for (const json& step : *single) {
    const bool object = step.is_object() && step.size() == 1 && step.begin()->is_object();
    if (object && step.begin().key() == "Sequence" && !text_seen) {
      text_seen = true;
    } else if (object && step.begin().key() == "SpecialToken") {
      MINERVA_TRY(append_template_token(*step.begin(), part, text_seen ? out.after : out.before));
    } else {
      return broken_tokenizer(
          fmt::format("{}: single has a step that is neither a token nor the "
                      "text, or the text twice",
                      part.where()));
    }
  }
  return {};
}

// ["[SEP]", 102]
Result<std::uint64_t> token_and_id(const JsonPart& part, const char* key) {
  const auto found = part.value->find(key);
  if (found != part.value->end() && found->is_array() && found->size() == 2 &&
      (*found)[1].is_number_unsigned()) {
    return (*found)[1].get<std::uint64_t>();
  }
  return broken_tokenizer(fmt::format("{}: {} is no token with its id", part.where(), key));
}

Result<void> read_bert(const JsonPart& part, Surroundings& out) {
  MINERVA_ASSIGN(const std::uint64_t before, token_and_id(part, "cls"));
  MINERVA_ASSIGN(const std::uint64_t after, token_and_id(part, "sep"));
  out.before = {before};
  out.after = {after};
  return {};
}

}  // namespace

Result<Surroundings> read_post_processor(const std::vector<JsonPart>& parts) {
  Surroundings out;
  for (const JsonPart& part : parts) {
    if (part.type == "ByteLevel") continue;  // moves offsets only
    if (!out.before.empty() || !out.after.empty()) {
      return unsupported_tokenizer(
          fmt::format("post_processor {} after another one", quoted_piece(part.type)));
    }
    if (part.type == "TemplateProcessing") {
      MINERVA_TRY(read_template(part, out));
    } else if (part.type == "BertProcessing" || part.type == "RobertaProcessing") {
      MINERVA_TRY(read_bert(part, out));
    } else {
      return unsupported_tokenizer(fmt::format("post_processor {}", quoted_piece(part.type)));
    }
  }
  return out;
}

}  // namespace minerva::text
