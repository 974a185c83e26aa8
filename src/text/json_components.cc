#include "text/json_components.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "text/space_mark.h"

namespace minerva::text {
namespace {

using json = nlohmann::json;

struct Part {
  std::string_view type;
  const json* value;
};

// A part, or the parts of a Sequence of them (which may hold Sequences), in order. No recursion
// beyond the depth that the reader of the file allowed.
Result<void> flatten(const json& value, const char* list_key, std::string_view where,
                     std::vector<Part>& out) {
  if (value.is_null()) return {};
  if (!value.is_object()) return broken_tokenizer(fmt::format("{} is no object", where));
  MINERVA_ASSIGN(const std::string_view type, string_of(value, "type", "", where));
  if (type != "Sequence") {
    out.push_back({type, &value});
    return {};
  }
  const auto list = value.find(list_key);
  if (list == value.end() || !list->is_array()) {
    return broken_tokenizer(fmt::format("{} is a Sequence without the list {}", where, list_key));
  }
  for (const json& one : *list) MINERVA_TRY(flatten(one, list_key, where, out));
  return {};
}

Result<std::vector<Part>> parts_of(const json& document, const char* key, const char* list_key) {
  std::vector<Part> out;
  const auto found = document.find(key);
  if (found != document.end()) MINERVA_TRY(flatten(*found, list_key, key, out));
  return out;
}

// {"String": ...} or {"Regex": ...}; the other one is empty.
struct Pattern {
  std::string_view literal;
  std::string_view regex;
};

Result<Pattern> pattern_of(const json& part, std::string_view where) {
  const auto found = part.find("pattern");
  if (found == part.end() || !found->is_object()) {
    return broken_tokenizer(fmt::format("{} has no pattern", where));
  }
  Pattern out;
  MINERVA_ASSIGN(out.literal, string_of(*found, "String", "", where));
  MINERVA_ASSIGN(out.regex, string_of(*found, "Regex", "", where));
  return out;
}

struct Normalization {
  bool nfc = false;
  bool space_in_front = false;
  bool marks_spaces = false;  // writes spaces as U+2581
};

Result<Normalization> read_normalizer(const json& document) {
  Normalization out;
  MINERVA_ASSIGN(const auto parts, parts_of(document, "normalizer", "normalizers"));
  for (const Part& part : parts) {
    if (part.type == "NFC") {
      out.nfc = true;
    } else if (part.type == "Prepend") {
      MINERVA_ASSIGN(const auto text, string_of(*part.value, "prepend", "", "normalizer Prepend"));
      if (text != kSpaceMark || out.space_in_front) {
        return unsupported_tokenizer(
            fmt::format("normalizer Prepend with {}, or twice,", quoted_piece(text)));
      }
      out.space_in_front = true;
    } else if (part.type == "Replace") {
      MINERVA_ASSIGN(const Pattern pattern, pattern_of(*part.value, "normalizer Replace"));
      MINERVA_ASSIGN(const auto by, string_of(*part.value, "content", "", "normalizer Replace"));
      if (pattern.literal != " " || by != kSpaceMark) {
        return unsupported_tokenizer(fmt::format("normalizer Replace of {}{} by {}",
                                                 quoted_piece(pattern.literal),
                                                 quoted_piece(pattern.regex), quoted_piece(by)));
      }
      out.marks_spaces = true;
    } else {
      return unsupported_tokenizer(fmt::format("normalizer {}", quoted_piece(part.type)));
    }
  }
  if (out.space_in_front && !out.marks_spaces) {
    return unsupported_tokenizer("normalizer Prepend without a Replace of spaces");
  }
  return out;
}

Result<Scanner> scanner_of_split(const json& part) {
  MINERVA_ASSIGN(const Pattern pattern, pattern_of(part, "pre_tokenizer Split"));
  MINERVA_ASSIGN(const auto behavior, string_of(part, "behavior", "", "pre_tokenizer Split"));
  MINERVA_ASSIGN(const bool invert, flag_of(part, "invert", false, "pre_tokenizer Split"));
  const KnownExpression* const known = find_expression(pattern.regex);
  if (known == nullptr) {
    return unsupported_tokenizer(fmt::format(
        "pre_tokenizer Split by {}{}", quoted_piece(pattern.literal), quoted_piece(pattern.regex)));
  }
  // To keep the matches and drop what lies between them is the same where nothing does.
  const bool isolates = behavior == "Isolated" && !invert;
  const bool keeps = known->whole && (behavior == "Isolated" || (behavior == "Removed" && invert));
  if (!isolates && !keeps) {
    return unsupported_tokenizer(fmt::format("pre_tokenizer Split with behavior {}{}",
                                             quoted_piece(behavior), invert ? ", inverted," : ""));
  }
  return known->scanner;
}

Result<CharBpe> read_metaspace(const json& part) {
  constexpr std::string_view kWhere = "pre_tokenizer Metaspace";
  CharBpe out;
  MINERVA_ASSIGN(const auto mark, string_of(part, "replacement", kSpaceMark, kWhere));
  if (mark != kSpaceMark) {
    return unsupported_tokenizer(fmt::format("{} with {}", kWhere, quoted_piece(mark)));
  }
  MINERVA_ASSIGN(out.cut_at_spaces, flag_of(part, "split", true, kWhere));
  // add_prefix_space is how this was said before prepend_scheme.
  MINERVA_ASSIGN(const bool adds, flag_of(part, "add_prefix_space", true, kWhere));
  MINERVA_ASSIGN(const auto scheme,
                 string_of(part, "prepend_scheme", adds ? "always" : "never", kWhere));
  if (scheme == "always" && adds) {
    out.prefix = SpacePrefix::UnlessThere;
  } else if (scheme == "first" && adds) {
    out.prefix = SpacePrefix::FirstUnlessThere;
  } else if (scheme != "never") {
    return unsupported_tokenizer(fmt::format("{} with prepend_scheme {}{}", kWhere,
                                             quoted_piece(scheme),
                                             adds ? "" : " and no add_prefix_space"));
  }
  return out;
}

Result<void> add_byte_level(const json& part, WordCutter& cutter) {
  constexpr std::string_view kWhere = "pre_tokenizer ByteLevel";
  MINERVA_ASSIGN(const bool prefix, flag_of(part, "add_prefix_space", true, kWhere));
  MINERVA_ASSIGN(const bool use_regex, flag_of(part, "use_regex", true, kWhere));
  if (prefix) return unsupported_tokenizer(fmt::format("{} with add_prefix_space", kWhere));
  if (use_regex) cutter.stages.push_back(scan_gpt2);
  if (cutter.stages.empty()) cutter.stages.push_back(scan_all);
  return {};
}

Result<void> read_pre_tokenizer(const json& document, const Normalization& normalization,
                                JsonComponents& out) {
  MINERVA_ASSIGN(const auto parts, parts_of(document, "pre_tokenizer", "pretokenizers"));
  WordCutter cutter;
  bool bytes = false;
  for (const Part& part : parts) {
    if (bytes || out.char_bpe) {
      return unsupported_tokenizer(
          fmt::format("pre_tokenizer {} after one that must be the last", quoted_piece(part.type)));
    }
    if (part.type == "ByteLevel") {
      MINERVA_TRY(add_byte_level(*part.value, cutter));
      bytes = true;
    } else if (part.type == "Digits") {
      MINERVA_ASSIGN(const bool each,
                     flag_of(*part.value, "individual_digits", false, "pre_tokenizer Digits"));
      cutter.stages.push_back(each ? scan_each_number : scan_numbers);
    } else if (part.type == "Metaspace") {
      MINERVA_ASSIGN(out.char_bpe, read_metaspace(*part.value));
    } else if (part.type == "Split") {
      MINERVA_ASSIGN(const Pattern pattern, pattern_of(*part.value, "pre_tokenizer Split"));
      // Gemma's: no space is left to split at.
      if (normalization.marks_spaces && pattern.literal == " ") continue;
      MINERVA_ASSIGN(const Scanner scanner, scanner_of_split(*part.value));
      cutter.stages.push_back(scanner);
    } else {
      return unsupported_tokenizer(fmt::format("pre_tokenizer {}", quoted_piece(part.type)));
    }
  }
  if (bytes) {
    if (normalization.marks_spaces) {
      return unsupported_tokenizer("normalizer Replace together with pre_tokenizer ByteLevel");
    }
    out.word_cutter = std::move(cutter);
    return {};
  }
  if (!cutter.stages.empty()) {
    return unsupported_tokenizer("a pre_tokenizer that splits without a ByteLevel after it");
  }
  if (!out.char_bpe && !normalization.marks_spaces) {
    return unsupported_tokenizer(
        "a BPE with neither ByteLevel nor Metaspace nor a normalizer that replaces spaces");
  }
  if (!out.char_bpe) out.char_bpe.emplace();
  // A Metaspace after it finds a space there already.
  if (normalization.space_in_front) out.char_bpe->prefix = SpacePrefix::Always;
  return {};
}

Result<std::uint64_t> template_token(const json& step, const json& part) {
  constexpr std::string_view kWhere = "post_processor TemplateProcessing";
  MINERVA_ASSIGN(const auto name, string_of(step, "id", "", kWhere));
  const auto tokens = part.find("special_tokens");
  if (tokens != part.end() && tokens->is_object()) {
    const auto token = tokens->find(name);
    const auto ids =
        token == tokens->end() || !token->is_object() ? json() : token->value("ids", json());
    if (ids.is_array() && ids.size() == 1 && ids[0].is_number_unsigned()) {
      return ids[0].get<std::uint64_t>();
    }
  }
  return broken_tokenizer(
      fmt::format("{}: special_tokens has no single id for {}", kWhere, quoted_piece(name)));
}

Result<void> read_template(const json& part, JsonComponents& out) {
  constexpr std::string_view kWhere = "post_processor TemplateProcessing";
  const auto single = part.find("single");
  if (single == part.end() || !single->is_array()) {
    return broken_tokenizer(fmt::format("{} has no list \"single\"", kWhere));
  }
  bool text_seen = false;
  for (const json& step : *single) {
    const bool object = step.is_object() && step.size() == 1 && step.begin()->is_object();
    if (object && step.begin().key() == "Sequence" && !text_seen) {
      text_seen = true;
    } else if (object && step.begin().key() == "SpecialToken") {
      auto& side = text_seen ? out.suffix : out.prefix;
      if (side) {
        return unsupported_tokenizer(
            fmt::format("{} with two tokens on one side of the text", kWhere));
      }
      MINERVA_ASSIGN(side, template_token(*step.begin(), part));
    } else {
      return broken_tokenizer(
          fmt::format("{}: single has a step that is neither a token nor the "
                      "text, or the text twice",
                      kWhere));
    }
  }
  return {};
}

Result<void> read_post_processor(const json& document, JsonComponents& out) {
  MINERVA_ASSIGN(const auto parts, parts_of(document, "post_processor", "processors"));
  for (const Part& part : parts) {
    if (part.type == "ByteLevel") continue;  // moves offsets only
    if (part.type != "TemplateProcessing" || out.prefix || out.suffix) {
      return unsupported_tokenizer(fmt::format("post_processor {}", quoted_piece(part.type)));
    }
    MINERVA_TRY(read_template(*part.value, out));
  }
  return {};
}

// Ids become text by what the vocabulary is; a decoder that says something else is refused.
Result<void> check_decoder(const json& document, bool byte_level) {
  MINERVA_ASSIGN(const auto parts, parts_of(document, "decoder", "decoders"));
  for (const Part& part : parts) {
    const bool known = byte_level ? part.type == "ByteLevel"
                                  : part.type == "Replace" || part.type == "ByteFallback" ||
                                        part.type == "Fuse" || part.type == "Strip" ||
                                        part.type == "Metaspace";
    if (!known) {
      return unsupported_tokenizer(fmt::format("decoder {} with a vocabulary of {}",
                                               quoted_piece(part.type),
                                               byte_level ? "bytes" : "characters"));
    }
  }
  return {};
}

}  // namespace

std::unexpected<Error> broken_tokenizer(std::string_view why) {
  return fail(ErrorCode::InvalidModel, fmt::format("tokenizer.json: {}", why), "tokenizer.json");
}

std::unexpected<Error> unsupported_tokenizer(std::string_view what) {
  return fail(ErrorCode::Unsupported, fmt::format("tokenizer.json: {} is not supported", what),
              "tokenizer.json");
}

Result<bool> flag_of(const json& object, const char* key, bool otherwise, std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (found->is_boolean()) return found->get<bool>();
  return broken_tokenizer(fmt::format("{}: {} is neither true nor false", where, key));
}

Result<std::string_view> string_of(const json& object, const char* key, std::string_view otherwise,
                                   std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return otherwise;
  if (found->is_string()) return std::string_view(found->get_ref<const std::string&>());
  return broken_tokenizer(fmt::format("{}: {} is no string", where, key));
}

Result<JsonComponents> read_components(const json& document) {
  JsonComponents out;
  MINERVA_ASSIGN(const Normalization normalization, read_normalizer(document));
  out.nfc = normalization.nfc;
  MINERVA_TRY(read_pre_tokenizer(document, normalization, out));
  MINERVA_TRY(read_post_processor(document, out));
  MINERVA_TRY(check_decoder(document, out.word_cutter.has_value()));
  return out;
}

}  // namespace minerva::text
