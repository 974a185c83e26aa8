#include "cli/configuration.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/mapped_file.h"
#include "base/system.h"
#include "cli/engine_tables.h"
#include "models/model_store.h"

namespace minerva::cli {
namespace {

constexpr std::size_t kConfigBytesMax = std::size_t{1} << 20;

// Variables that are no settings: where Minerva's folder is, and what ./dev and the tests use.
constexpr std::array<std::string_view, 11> kOtherVariables = {
    "MINERVA_HOME",         "MINERVA_BINARY",       "MINERVA_PYTHON",       "MINERVA_VENV",
    "MINERVA_SAMPLE",       "MINERVA_CARGO_DIR",    "MINERVA_SKIP_INSTALL", "MINERVA_SOURCE_DIR",
    "MINERVA_ENGINES_VENV", "MINERVA_LLAMA_SERVER", "MINERVA_MLX_PYTHON"};
constexpr std::string_view kSamplePrefix = "MINERVA_SAMPLE_";

std::string did_you_mean(std::string_view name, std::vector<std::string> known) {
  return fmt::format("; did you mean {}? (`minerva config` lists what there is)",
                     models::nearest_first(name, std::move(known)).front());
}

std::optional<std::string_view> variable(Environment environment, std::string_view name) {
  for (const std::string& entry : environment) {
    if (entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=')
      return std::string_view(entry).substr(name.size() + 1);
  }
  return std::nullopt;
}

std::size_t index_of(const Setting& setting) {
  return static_cast<std::size_t>(&setting - setting_table().data());
}

Result<void> set_from_node(Settings& settings, const Setting& setting, const toml::node& node) {
  if (const auto* text = node.as_string()) return set_from_text(settings, setting, text->get());
  if (const auto* number = node.as_integer()) return set_number(settings, setting, number->get());
  if (const auto* flag = node.as_boolean())
    return setting.is_switch() ? set_from_text(settings, setting, flag->get() ? "true" : "false")
                               : fail(ErrorCode::InvalidArgument, "takes no true or false");
  if (const auto* array = node.as_array()) {
    std::vector<std::string> words;
    for (const toml::node& entry : *array) {
      const auto* word = entry.as_string();
      if (word == nullptr) return fail(ErrorCode::InvalidArgument, "takes a list of strings");
      words.push_back(word->get());
    }
    return set_words(settings, setting, std::move(words));
  }
  return fail(ErrorCode::InvalidArgument, "takes a string, a number, true or false, or a list");
}

Result<toml::table> parse_toml(std::string_view text, const std::string& path) {
  try {  // The library's way to say it; here it ends.
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} line {}, column {}: {}", path, error.source().begin.line,
                            error.source().begin.column, error.description()));
  }
}

Result<void> apply_file(Configuration& configuration) {
  const std::string path = configuration.home.config_file();
  auto file = MappedFile::open(path);
  if (!file) {
    if (file.error().code == ErrorCode::NotFound) return {};
    return fail(std::move(file).error());
  }
  const auto bytes = (*file)->bytes();
  if (bytes.size() > kConfigBytesMax) {
    return fail(ErrorCode::TooLarge, fmt::format("{} has {} bytes, at most {} are read", path,
                                                 bytes.size(), kConfigBytesMax));
  }
  return apply_toml(configuration, {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                    path);
}

Result<void> apply_environment(Configuration& configuration, Environment environment) {
  for (const std::string& entry : environment) {
    const std::size_t equals = entry.find('=');
    const std::string_view name = std::string_view(entry).substr(0, equals);
    if (!name.starts_with("MINERVA_") || equals == std::string::npos) continue;
    if (name.starts_with(kSamplePrefix)) continue;
    std::vector<std::string> variables;
    const Setting* found = nullptr;
    for (const Setting& setting : setting_table()) {
      variables.push_back(setting.variable());
      if (variables.back() == name) found = &setting;
    }
    if (found == nullptr) {
      if (std::ranges::count(kOtherVariables, name)) continue;
      variables.insert(variables.end(), kOtherVariables.begin(), kOtherVariables.end());
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("the environment has {}, which is no setting{}",
                              escape_controls(name), did_you_mean(name, std::move(variables))));
    }
    const std::string_view value = std::string_view(entry).substr(equals + 1);
    if (auto set = set_from_text(configuration.settings, *found, value); !set)
      return fail(std::move(set.error()).in(name));
    configuration.sources[index_of(*found)] = name;
  }
  return {};
}

Result<void> apply_flags(Configuration& configuration, const FlagValues& flags) {
  for (const auto& [name, values] : flags) {
    const Setting* setting = find_setting(name);
    if (setting == nullptr || values.empty()) continue;
    auto set = setting->is_list() ? set_words(configuration.settings, *setting, values)
                                  : set_from_text(configuration.settings, *setting, values.back());
    if (!set) {
      Error error = std::move(set.error()).in(setting->flag);
      error.param = setting->flag;
      return fail(std::move(error));
    }
    configuration.sources[index_of(*setting)] = setting->flag;
  }
  return {};
}

}  // namespace

std::string_view Configuration::source(std::string_view name) const {
  const Setting* setting = find_setting(name);
  return setting == nullptr ? std::string_view() : sources[index_of(*setting)];
}

Home find_home(Environment environment) {
  const auto folder = variable(environment, "MINERVA_HOME");
  if (folder && !folder->empty()) return {std::string(*folder)};
  return {home_directory() + "/.minerva"};
}

Configuration default_configuration(Environment environment) {
  Configuration configuration;
  configuration.home = find_home(environment);
  configuration.settings.models_dir = configuration.home.folder + "/models";
  configuration.sources.assign(setting_table().size(), "default");
  settle_rules(configuration);
  return configuration;
}

void settle_rules(Configuration& configuration) {
  const Settings& settings = configuration.settings;
  serve::ServingRules& rules = configuration.rules;
  rules.backend = settings.backend;
  rules.fallback = settings.fallback;
  rules.idle_ttl = std::chrono::seconds(settings.idle_ttl);
  rules.memory_max = settings.memory_max;
  rules.isolated = settings.isolation == "process";
  rules.allow_code = settings.allow_code;
}

Result<void> apply_toml(Configuration& configuration, std::string_view text,
                        const std::string& path) {
  MINERVA_ASSIGN(const toml::table table, parse_toml(text, path));
  const TomlFile file{path, configuration.home.folder};
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    if (is_table_name(name) && !(name == "models" && !node.is_table())) {
      MINERVA_TRY(read_engine_table(configuration, name, node, file));
      continue;
    }
    const std::string where = fmt::format("{} line {}", path, key.source().begin.line);
    const Setting* setting = find_setting(name);
    if (setting == nullptr) {
      std::vector<std::string> known;
      for (const Setting& each : setting_table()) known.emplace_back(each.name);
      known.insert(known.end(), {"backends", "remotes"});
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("{}: there is no setting \"{}\"{}", where, escape_controls(name),
                              did_you_mean(name, std::move(known))));
    }
    if (auto set = set_from_node(configuration.settings, *setting, node); !set)
      return fail(std::move(set.error()).in(fmt::format("{}: {}", where, name)));
    configuration.sources[index_of(*setting)] = where;
  }
  return {};
}

Result<Configuration> load_configuration(Environment environment, const FlagValues& flags) {
  Configuration configuration = default_configuration(environment);
  MINERVA_TRY(apply_file(configuration));
  MINERVA_TRY(apply_environment(configuration, environment));
  MINERVA_TRY(apply_flags(configuration, flags));
  const auto lookup = [&](std::string_view name) {
    const auto value = variable(environment, name);
    return value && !value->empty() ? std::optional<std::string>(*value) : std::nullopt;
  };
  Settings& settings = configuration.settings;
  MINERVA_ASSIGN(settings.model_places,
                 models::model_sources(settings.models_dir, settings.model_sources,
                                       lookup("HOME").value_or(""), lookup));
  settle_rules(configuration);
  MINERVA_TRY(check_engine_names(configuration));
  return configuration;
}

}  // namespace minerva::cli
