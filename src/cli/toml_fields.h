// Reading config.toml's tables into structs, strictly: each struct has a list of its keys, what is
// unknown is refused with the nearest key, and a wrong value says what is accepted. Private to the
// room. Errors have the line and the key's whole path in front ("models.\"x\".context: …").
#pragma once

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::cli {

// Where relative paths of the file begin, and how the file is called in messages.
struct TomlFile {
  std::string path;
  std::string folder;
};

Result<std::string> toml_text(const toml::node& node);
// One of `choices`.
Result<std::string> toml_choice(const toml::node& node, std::span<const std::string_view> choices);
Result<bool> toml_switch(const toml::node& node);
Result<std::uint64_t> toml_number(const toml::node& node, std::uint64_t min, std::uint64_t max);
Result<double> toml_fraction(const toml::node& node, double min, double max);
Result<std::uint64_t> toml_bytes(const toml::node& node, std::uint64_t min, std::uint64_t max);
Result<std::uint64_t> toml_seconds(const toml::node& node);
Result<std::vector<std::string>> toml_words(const toml::node& node, std::size_t count_max);
// A path: "~/" is the user's folder, a relative one begins at the file's folder.
Result<std::string> toml_path(const toml::node& node, const TomlFile& file);
// The same, but a name without "/" is left for the search path.
Result<std::string> toml_program(const toml::node& node, const TomlFile& file);

template <class T>
struct TomlField {
  std::string_view name;
  std::function<Result<void>(const toml::node&, T&, const TomlFile&)> read;
};

std::unexpected<Error> unknown_key(const TomlFile& file, std::string_view place,
                                   const toml::key& key, std::vector<std::string> known);
std::unexpected<Error> at_line(const TomlFile& file, const toml::source_region& where,
                               std::string_view place, Error error);
Result<const toml::table*> toml_table(const toml::node& node);

// `place`: the table's path, for messages.
template <class T>
Result<void> read_fields(const toml::table& table, std::span<const TomlField<T>> fields, T& out,
                         std::string_view place, const TomlFile& file) {
  for (const auto& [key, node] : table) {
    const TomlField<T>* found = nullptr;
    for (const TomlField<T>& field : fields) {
      if (field.name == key.str()) found = &field;
    }
    if (found == nullptr) {
      std::vector<std::string> known;
      for (const TomlField<T>& field : fields) known.emplace_back(field.name);
      return unknown_key(file, place, key, std::move(known));
    }
    if (auto read = found->read(node, out, file); !read) {
      return at_line(file, key.source(), fmt::format("{}.{}", place, found->name),
                     std::move(read.error()));
    }
  }
  return {};
}

}  // namespace minerva::cli
