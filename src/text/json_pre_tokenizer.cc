// The pre-tokenizer of tokenizer.json.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "text/bert_characters.h"
#include "text/json_components.h"
#include "text/json_parts.h"
#include "text/pre_tokenizer.h"
#include "text/space_mark.h"
#include "text/unicode.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

bool is_white_space(char32_t c) { return (class_of(c) & kSpace) != 0; }

// \w+|[^\w\s]+, without what lies between.
Result<void> find_words(std::string_view text, const MatchSink& on_match) {
  enum class Kind : std::uint8_t { None, Word, Sign };
  Kind kind = Kind::None;
  std::size_t begin = 0;
  const auto end_at = [&](std::size_t end) {
    if (kind != Kind::None) on_match(begin, end);
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_next(text.substr(at));
    const Kind next = c.valid && is_word_character(c.code_point) ? Kind::Word
                      : c.valid && is_white_space(c.code_point)  ? Kind::None
                                                                 : Kind::Sign;
    if (next != kind) end_at(at);
    kind = next;
    at += c.length;
  }
  end_at(text.size());
  return {};
}

Result<SplitBehavior> behavior_of(const JsonPart& part, std::string_view otherwise) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Removed", SplitBehavior::Removed},
       {"Isolated", SplitBehavior::Isolated},
       {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
       {"MergedWithNext", SplitBehavior::MergedWithNext},
       {"Contiguous", SplitBehavior::Contiguous}}};
  MINERVA_ASSIGN(const auto name, string_of(*part.value, "behavior", otherwise, part.where()));
  for (const auto& [known, behavior] : kBehaviors) {
    if (known == name) return behavior;
  }
  return unsupported_tokenizer(
      fmt::format("{} with behavior {}", part.where(), quoted_piece(name)));
}

Result<void> add_split(const JsonPart& part, TextCutter& out) {
  MINERVA_ASSIGN(const JsonPattern pattern, pattern_of(part));
  MINERVA_ASSIGN(const SplitBehavior behavior, behavior_of(part, ""));
  MINERVA_ASSIGN(const bool invert, flag_of(*part.value, "invert", false, part.where()));
  const KnownExpression* const known = find_expression(pattern.regex);
  // Where matches lie side by side, to keep them and drop the rest changes nothing.
  const bool isolates = behavior == SplitBehavior::Isolated;
  const bool keeps = known != nullptr && known->whole &&
                     (isolates || (behavior == SplitBehavior::Removed && invert));
  if (keeps || (known != nullptr && isolates)) {
    out.add(scan_stage(known->scanner));
    if (known->then != nullptr) out.add(scan_stage(known->then));
    return {};
  }
  MINERVA_ASSIGN(FindMatches find, pattern.finder());
  out.add(split_stage(std::move(find), behavior, invert));
  return {};
}

Result<void> add_metaspace(const JsonPart& part, TextCutter& out) {
  constexpr std::array<std::pair<std::string_view, PrependScheme>, 3> kSchemes = {
      {{"always", PrependScheme::Always},
       {"first", PrependScheme::First},
       {"never", PrependScheme::Never}}};
  MINERVA_ASSIGN(std::string mark,
                 character_of(*part.value, "replacement", kSpaceMark, part.where()));
  MINERVA_ASSIGN(const bool cuts, flag_of(*part.value, "split", true, part.where()));
  MINERVA_ASSIGN(const auto name, metaspace_scheme(part));
  for (const auto& [known, scheme] : kSchemes) {
    if (known != name) continue;
    out.add(metaspace_stage(std::move(mark), scheme, cuts));
    return {};
  }
  return unsupported_tokenizer(
      fmt::format("{} with prepend_scheme {}", part.where(), quoted_piece(name)));
}

Result<void> add_digits(const JsonPart& part, TextCutter& out) {
  MINERVA_ASSIGN(const bool each, flag_of(*part.value, "individual_digits", false, part.where()));
  out.add(scan_stage(each ? scan_each_digit : scan_digits));
  return {};
}

Result<void> add_punctuation(const JsonPart& part, TextCutter& out) {
  MINERVA_ASSIGN(const SplitBehavior behavior, behavior_of(part, "Isolated"));
  out.add(split_stage(characters_where(is_bert_punctuation), behavior));
  return {};
}

Result<void> add_delimiter(const JsonPart& part, TextCutter& out) {
  MINERVA_ASSIGN(std::string delimiter, character_of(*part.value, "delimiter", "", part.where()));
  out.add(split_stage(occurrences_of(std::move(delimiter)), SplitBehavior::Removed));
  return {};
}

Result<void> add_white_space(const JsonPart&, TextCutter& out) {
  out.add(split_stage(characters_where(is_white_space), SplitBehavior::Removed));
  return {};
}

Result<void> add_words(const JsonPart&, TextCutter& out) {
  out.add(split_stage(find_words, SplitBehavior::Removed, true));
  return {};
}

Result<void> add_bert(const JsonPart&, TextCutter& out) {
  add_bert_stages(out);
  return {};
}

struct Row {
  std::string_view type;
  Result<void> (*add)(const JsonPart&, TextCutter&);
};

constexpr Row kRows[] = {
    {"Split", add_split},
    {"Metaspace", add_metaspace},
    {"Digits", add_digits},
    {"Punctuation", add_punctuation},
    {"CharDelimiterSplit", add_delimiter},
    {"WhitespaceSplit", add_white_space},
    {"Whitespace", add_words},
    {"BertPreTokenizer", add_bert},
};

Result<void> add_byte_level(const JsonPart& part, bool as_letters, TextCutter& out) {
  MINERVA_ASSIGN(const bool prefix, flag_of(*part.value, "add_prefix_space", true, part.where()));
  MINERVA_ASSIGN(const bool use_regex, flag_of(*part.value, "use_regex", true, part.where()));
  if (prefix) out.add(leading_space_stage());
  if (use_regex) out.add(scan_stage(scan_gpt2));
  if (as_letters) out.add(byte_letters_stage());
  return {};
}

}  // namespace

void add_bert_stages(TextCutter& out) {
  out.add(split_stage(characters_where(is_white_space), SplitBehavior::Removed));
  out.add(split_stage(characters_where(is_bert_punctuation), SplitBehavior::Isolated));
}

Result<std::string_view> metaspace_scheme(const JsonPart& part) {
  // add_prefix_space is how this was said before prepend_scheme.
  MINERVA_ASSIGN(const bool adds, flag_of(*part.value, "add_prefix_space", true, part.where()));
  MINERVA_ASSIGN(const auto scheme,
                 string_of(*part.value, "prepend_scheme", adds ? "always" : "never", part.where()));
  if (!adds && scheme != "never") {
    return unsupported_tokenizer(fmt::format("{} with prepend_scheme {} and no add_prefix_space",
                                             part.where(), quoted_piece(scheme)));
  }
  return scheme;
}

Result<CutterAndBytes> read_pre_tokenizer(const std::vector<JsonPart>& parts, bool allows_bytes) {
  CutterAndBytes out;
  out.cutter = std::make_shared<TextCutter>();
  bool letters = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].type == "ByteLevel") {
      // Each would write the letters of the one before as letters, twice as many.
      if (letters) return unsupported_tokenizer("more than one pre_tokenizer ByteLevel");
      letters = true;
      out.bytes = allows_bytes && i + 1 == parts.size();
      MINERVA_TRY(add_byte_level(parts[i], !out.bytes, *out.cutter));
      continue;
    }
    const Row* found = nullptr;
    for (const Row& row : kRows) {
      if (row.type == parts[i].type) found = &row;
    }
    if (found == nullptr) {
      return unsupported_tokenizer(fmt::format("pre_tokenizer {}", quoted_piece(parts[i].type)));
    }
    MINERVA_TRY(found->add(parts[i], *out.cutter));
  }
  return out;
}

}  // namespace minerva::text
