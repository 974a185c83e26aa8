// What can be set, as one table: it drives config.toml, the MINERVA_* variables, the flags,
// `minerva config` and docs/configuration.md (a test compares the two). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "models/sources.h"

namespace minerva::cli {

// Defaults stand here and nowhere else.
struct Settings {
  std::string host = "127.0.0.1";
  std::uint64_t port = 11434;
  std::vector<std::string> models;
  std::string models_dir;  // empty: "models" in Minerva's folder
  std::vector<std::string> model_sources;
  std::vector<std::string> allow_code;
  std::string backend = "auto";
  std::vector<std::string> fallback;
  std::string isolation = "none";
  std::uint64_t idle_ttl = 0;  // seconds
  std::uint64_t memory_max = 0;
  std::uint64_t load_wait_seconds = 600;
  std::uint64_t threads = 0;
  std::uint64_t context = 0;
  std::uint64_t kv_memory = 0;
  std::uint64_t models_max = 8;
  std::string isa = "auto";
  std::string numerics = "exact";
  std::uint64_t queue = 256;
  std::uint64_t connections_max = 2000;
  std::uint64_t body_max = std::uint64_t{8} << 20;
  std::uint64_t keep_alive_seconds = 10;
  std::uint64_t drain_seconds = 30;
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> allowed_origins;
  bool strict = false;
  std::string log_level = "info";

  // No row of the table: the places that models_dir, model_sources and the environment come to;
  // set by load_configuration().
  std::vector<models::ModelSource> model_places;

  friend bool operator==(const Settings&, const Settings&) = default;
};

struct Setting {
  using Field = std::variant<std::string Settings::*, std::uint64_t Settings::*, bool Settings::*,
                             std::vector<std::string> Settings::*>;

  std::string_view name;  // in config.toml; MINERVA_NAME in the environment
  std::string_view flag;
  std::string_view value;  // how the value is called in help: "N", "PATH"
  Field field;
  std::string_view doc;
  std::string_view default_words = {};  // where the default is worked out: said in words
  std::uint64_t min = 0;                // of numbers
  std::uint64_t max = 0;
  bool bytes = false;                          // of numbers: takes 512M or 4GiB
  bool duration = false;                       // of numbers: seconds; takes 90s, 10m or 2h
  bool engines = false;                        // of words: names of engines
  std::vector<std::string_view> choices = {};  // of words; empty: any

  std::string variable() const;
  bool is_list() const { return field.index() == 3; }
  bool is_switch() const { return field.index() == 2; }
};

std::span<const Setting> setting_table();
const Setting* find_setting(std::string_view name);

// Takes a value as people write it. Lists are parted by commas. The error says what is accepted;
// the caller puts in front where the value stood.
Result<void> set_from_text(Settings& settings, const Setting& setting, std::string_view text);
// One value of a kind that config.toml has.
Result<void> set_number(Settings& settings, const Setting& setting, std::int64_t number);
Result<void> set_words(Settings& settings, const Setting& setting, std::vector<std::string> words);

// As set_from_text would take it, for people.
std::string value_text(const Settings& settings, const Setting& setting);

// "8388608", "512M", "4 GiB": powers of 1024.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "90", "90s", "10m", "2h", "1d": in seconds.
std::optional<std::uint64_t> parse_duration(std::string_view text);

// "auto" where `automatic`, native, llama_cpp, mlx or remote:NAME; whether that remote server is
// configured is seen when everything has been read.
Result<void> check_engine(std::string_view name, bool automatic);

// The table of docs/configuration.md.
std::string settings_markdown();

}  // namespace minerva::cli
