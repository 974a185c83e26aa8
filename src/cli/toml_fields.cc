#include "cli/toml_fields.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "base/log.h"
#include "base/system.h"
#include "cli/settings.h"
#include "models/model_store.h"

namespace minerva::cli {
namespace {

constexpr std::size_t kTextBytesMax = 4096;
constexpr std::uint64_t kSecondsMax = std::uint64_t{366} * 86400;

std::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::InvalidArgument, std::move(message));
}

std::string quoted(std::string_view text) { return '"' + escape_controls(text) + '"'; }

// A number in a range, written as one or as text that `parse` understands.
Result<std::uint64_t> in_range(const toml::node& node, std::uint64_t min, std::uint64_t max,
                               std::optional<std::uint64_t> (*parse)(std::string_view),
                               std::string_view also) {
  std::optional<std::uint64_t> number;
  std::string written = "something else";
  if (const auto* integer = node.as_integer()) {
    number = checked_cast<std::uint64_t>(integer->get());
    written = std::to_string(integer->get());
  } else if (const auto* text = node.as_string()) {
    written = quoted(text->get());
    if (parse != nullptr) number = parse(text->get());
  }
  if (number && *number >= min && *number <= max) return *number;
  return wrong(fmt::format("takes a number from {} to {}{}, not {}", min, max, also, written));
}

}  // namespace

Result<std::string> toml_text(const toml::node& node) {
  const auto* const text = node.as_string();
  if (text == nullptr) return wrong("takes a string");
  if (text->get().empty() || text->get().size() > kTextBytesMax)
    return wrong(fmt::format("takes 1 to {} bytes, not {}", kTextBytesMax, text->get().size()));
  for (const char c : text->get()) {
    if (static_cast<unsigned char>(c) < 32 || c == 127)
      return wrong(fmt::format("takes no control characters, as in {}", quoted(text->get())));
  }
  return text->get();
}

Result<std::string> toml_choice(const toml::node& node, std::span<const std::string_view> choices) {
  MINERVA_ASSIGN(std::string word, toml_text(node));
  if (std::ranges::count(choices, word) != 0) return word;
  return wrong(fmt::format("takes {}, not {}", fmt::join(choices, ", "), quoted(word)));
}

Result<bool> toml_switch(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  return wrong("takes true or false");
}

Result<std::uint64_t> toml_number(const toml::node& node, std::uint64_t min, std::uint64_t max) {
  return in_range(node, min, max, nullptr, "");
}

Result<double> toml_fraction(const toml::node& node, double min, double max) {
  const std::optional<double> number = node.value<double>();
  if (node.is_number() && number && std::isfinite(*number) && *number >= min && *number <= max)
    return *number;
  return wrong(fmt::format("takes a number from {} to {}", min, max));
}

Result<std::uint64_t> toml_bytes(const toml::node& node, std::uint64_t min, std::uint64_t max) {
  return in_range(node, min, max, parse_bytes, " bytes (512M and 4G are understood)");
}

Result<std::uint64_t> toml_seconds(const toml::node& node) {
  return in_range(node, 0, kSecondsMax, parse_duration,
                  " (seconds, 90s, 10m and 2h are understood)");
}

Result<std::vector<std::string>> toml_words(const toml::node& node, std::size_t count_max) {
  const auto* const array = node.as_array();
  if (array == nullptr) return wrong("takes a list of strings");
  if (array->size() > count_max)
    return wrong(fmt::format("takes {} at most, not {}", count_max, array->size()));
  std::vector<std::string> words;
  for (const toml::node& entry : *array) {
    if (!entry.is_string()) return wrong("takes a list of strings");
    MINERVA_ASSIGN(std::string word, toml_text(entry));
    words.push_back(std::move(word));
  }
  return words;
}

Result<std::string> toml_path(const toml::node& node, const TomlFile& file) {
  MINERVA_ASSIGN(std::string path, toml_text(node));
  if (path.starts_with('/')) return path;
  if (path.starts_with("~/")) return home_directory() + path.substr(1);
  return file.folder + "/" + path;
}

Result<std::string> toml_program(const toml::node& node, const TomlFile& file) {
  MINERVA_ASSIGN(std::string path, toml_text(node));
  if (!path.contains('/')) return path;
  return toml_path(node, file);
}

Result<const toml::table*> toml_table(const toml::node& node) {
  if (const auto* table = node.as_table()) return table;
  return wrong("is a table of settings, not a value");
}

std::unexpected<Error> unknown_key(const TomlFile& file, std::string_view place,
                                   const toml::key& key, std::vector<std::string> known) {
  return wrong(fmt::format("{} line {}: there is no setting \"{}\" in {}; did you mean {}?",
                           file.path, key.source().begin.line, escape_controls(key.str()), place,
                           models::nearest_first(key.str(), std::move(known)).front()));
}

std::unexpected<Error> at_line(const TomlFile& file, const toml::source_region& where,
                               std::string_view place, Error error) {
  // Of a table inside of this one: it says its own line.
  if (error.message.starts_with(file.path)) return fail(std::move(error));
  return fail(
      std::move(error).in(fmt::format("{} line {}: {}", file.path, where.begin.line, place)));
}

}  // namespace minerva::cli
