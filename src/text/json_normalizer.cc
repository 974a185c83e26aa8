// The normalizer of tokenizer.json.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "text/charsmap.h"
#include "text/json_components.h"
#include "text/json_parts.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;
using Step = Normalizer::Step;

Result<Step> read_form(const JsonPart& part) {
  constexpr std::array<std::pair<std::string_view, UnicodeForm>, 4> kForms = {
      {{"NFC", UnicodeForm::Nfc},
       {"NFD", UnicodeForm::Nfd},
       {"NFKC", UnicodeForm::Nfkc},
       {"NFKD", UnicodeForm::Nfkd}}};
  for (const auto& [name, form] : kForms) {
    if (part.type == name) return form_step(form);
  }
  return unsupported_tokenizer(fmt::format("normalizer {}", quoted_piece(part.type)));
}

Result<Step> read_strip(const JsonPart& part) {
  MINERVA_ASSIGN(const bool left, flag_of(*part.value, "strip_left", true, part.where()));
  MINERVA_ASSIGN(const bool right, flag_of(*part.value, "strip_right", true, part.where()));
  return strip_step(left, right);
}

Result<Step> read_replace(const JsonPart& part) {
  MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
  MINERVA_ASSIGN(std::string by, replacement_of(*part.value, "content", "", part.where()));
  if (pattern.regex.empty()) return replace_step(std::string(pattern.literal), std::move(by));
  MINERVA_ASSIGN(FindMatches find, pattern.finder());
  return replace_matches_step(std::move(find), std::move(by));
}

Result<Step> read_prepend(const JsonPart& part) {
  MINERVA_ASSIGN(std::string text, replacement_of(*part.value, "prepend", "", part.where()));
  return prepend_step(std::move(text));
}

Result<Step> read_bert(const JsonPart& part) {
  const json& value = *part.value;
  BertNormalization options;
  MINERVA_ASSIGN(options.clean_text, flag_of(value, "clean_text", true, part.where()));
  MINERVA_ASSIGN(options.handle_chinese_chars,
                 flag_of(value, "handle_chinese_chars", true, part.where()));
  MINERVA_ASSIGN(options.lowercase, flag_of(value, "lowercase", true, part.where()));
  MINERVA_ASSIGN(options.strip_accents,
                 flag_of(value, "strip_accents", options.lowercase, part.where()));
  return bert_step(options);
}

Result<Step> read_precompiled(const JsonPart& part) {
  MINERVA_ASSIGN(const std::string_view text,
                 string_of(*part.value, "precompiled_charsmap", "", part.where()));
  MINERVA_ASSIGN(std::string bytes, bytes_of_base64(text));
  MINERVA_ASSIGN(const auto map, Charsmap::parse(std::move(bytes)));
  return Step([map](std::string& changed) -> Result<void> {
    changed = map->by_grapheme(changed);
    return {};
  });
}

Result<Step> plain(Step step) { return step; }

struct Row {
  std::string_view type;
  Result<Step> (*read)(const JsonPart&);
};

constexpr Row kRows[] = {
    {"Strip", read_strip},
    {"Replace", read_replace},
    {"Prepend", read_prepend},
    {"BertNormalizer", read_bert},
    {"Precompiled", read_precompiled},
    {"Lowercase", [](const JsonPart&) { return plain(lowercase_step()); }},
    {"StripAccents", [](const JsonPart&) { return plain(strip_accents_step()); }},
    {"Nmt", [](const JsonPart&) { return plain(nmt_step()); }},
};

Result<Step> read_step(const JsonPart& part) {
  for (const Row& row : kRows) {
    if (row.type == part.type) return row.read(part);
  }
  return read_form(part);
}

}  // namespace

Result<std::shared_ptr<const Normalizer>> read_normalizer(const std::vector<JsonPart>& parts) {
  MINERVA_TRY(check_growth(parts));
  auto out = std::make_shared<Normalizer>();
  for (const JsonPart& part : parts) {
    MINERVA_ASSIGN(Step step, read_step(part));
    out->add(std::move(step));
  }
  if (out->empty()) return nullptr;
  return out;
}

}  // namespace minerva::text
