#include "cli/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "backend/engine_name.h"
#include "base/checked.h"
#include "base/log.h"

namespace minerva::cli {
namespace {

constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 24;
constexpr std::uint64_t kSecondsMax = std::uint64_t{366} * 86400;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 46;

const std::vector<Setting>& table() {
  static const std::vector<Setting> settings = {
      {.name = "host",
       .flag = "--host",
       .value = "ADDRESS",
       .field = &Settings::host,
       .doc = "Address to listen on. 0.0.0.0 lets other machines in; there are no keys yet."},
      {.name = "port",
       .flag = "--port",
       .value = "N",
       .field = &Settings::port,
       .doc = "Port to listen on, and where `minerva run` looks for a server; 0 takes a free one.",
       .max = 65535},
      {.name = "models",
       .flag = "--model",
       .value = "NAME",
       .field = &Settings::models,
       .doc = "Models to load at start: names or paths. The first answers requests that name none.",
       .default_words = "none: each model is loaded at its first use"},
      {.name = "models_dir",
       .flag = "--models-dir",
       .value = "PATH",
       .field = &Settings::models_dir,
       .doc = "Folder of the model files.",
       .default_words = "`models` in Minerva's folder"},
      {.name = "model_sources",
       .flag = "--model-source",
       .value = "NAME",
       .field = &Settings::model_sources,
       .doc = "Programs whose models are used where they lie: `ollama`, `huggingface`, "
              "`lm_studio`, `llama_cpp`, `all` or `none`.",
       .default_words = "all that are there"},
      {.name = "allow_code",
       .flag = "--allow-code",
       .value = "HASH",
       .field = &Settings::allow_code,
       .doc = "Hashes of model folders whose own code engines in Python may run; the error that "
              "refuses one says its hash.",
       .default_words = "none"},
      {.name = "backend",
       .flag = "--backend",
       .value = "NAME",
       .field = &Settings::backend,
       .doc = "Engine that runs the models: `auto`, `native`, `llama_cpp`, `mlx` or "
              "`remote:NAME`.",
       .engines = true},
      {.name = "fallback",
       .flag = "--fallback",
       .value = "NAME",
       .field = &Settings::fallback,
       .doc = "Engines to go on with when the first fails before its first token, in this order.",
       .default_words = "none",
       .engines = true},
      {.name = "isolation",
       .flag = "--isolation",
       .value = "MODE",
       .field = &Settings::isolation,
       .doc = "`process` runs our own engine in a process for each model.",
       .choices = {"none", "process"}},
      {.name = "idle_ttl",
       .flag = "--idle-ttl",
       .value = "TIME",
       .field = &Settings::idle_ttl,
       .doc = "A model that nobody asks for so long is unloaded: seconds, or `90s`, `10m`, `2h`.",
       .default_words = "never",
       .max = kSecondsMax,
       .duration = true},
      {.name = "memory_max",
       .flag = "--memory-max",
       .value = "BYTES",
       .field = &Settings::memory_max,
       .doc = "Memory for all loaded models together; the least used make room for new ones.",
       .default_words = "what the machine has free",
       .max = kBytesMax,
       .bytes = true},
      {.name = "load_wait_seconds",
       .flag = "--load-wait-seconds",
       .value = "N",
       .field = &Settings::load_wait_seconds,
       .doc = "How long a call that loads a model waits for it.",
       .min = 1,
       .max = 86400},
      {.name = "threads",
       .flag = "--threads",
       .value = "N",
       .field = &Settings::threads,
       .doc = "Threads that compute.",
       .default_words = "every processor this process may use",
       .max = 1024},
      {.name = "context",
       .flag = "--context",
       .value = "N",
       .field = &Settings::context,
       .doc = "Most tokens that prompt and answer may have together.",
       .default_words = "the model's own, or what memory holds",
       .max = kTokensMax},
      {.name = "kv_memory",
       .flag = "--kv-memory",
       .value = "BYTES",
       .field = &Settings::kv_memory,
       .doc = "Memory for the keys and values of a model's running answers.",
       .default_words = "half of the free memory",
       .max = kBytesMax,
       .bytes = true},
      {.name = "models_max",
       .flag = "--models-max",
       .value = "N",
       .field = &Settings::models_max,
       .doc = "Models that may be loaded at once.",
       .min = 1,
       .max = 64},
      {.name = "isa",
       .flag = "--isa",
       .value = "NAME",
       .field = &Settings::isa,
       .doc = "Instruction set of the kernels. One that this processor lacks is an error.",
       .choices = {"auto", "scalar", "avx2", "avx512"}},
      {.name = "numerics",
       .flag = "--numerics",
       .value = "MODE",
       .field = &Settings::numerics,
       .doc = "`f32` computes with dequantised weights: slow, large, a reference for tests.",
       .choices = {"exact", "f32"}},
      {.name = "queue",
       .flag = "--queue",
       .value = "N",
       .field = &Settings::queue,
       .doc = "Requests that may wait or run at once; more are told to come again (429).",
       .min = 1,
       .max = 65536},
      {.name = "connections_max",
       .flag = "--connections-max",
       .value = "N",
       .field = &Settings::connections_max,
       .doc = "Connections that may be open at once.",
       .min = 1,
       .max = 65536},
      {.name = "body_max",
       .flag = "--body-max",
       .value = "BYTES",
       .field = &Settings::body_max,
       .doc = "Largest body of a request with a prompt.",
       .min = 1024,
       .max = std::uint64_t{1} << 30,
       .bytes = true},
      {.name = "keep_alive_seconds",
       .flag = "--keep-alive-seconds",
       .value = "N",
       .field = &Settings::keep_alive_seconds,
       .doc = "A stream that is silent for so long gets a comment, so that nobody hangs up.",
       .min = 1,
       .max = 3600},
      {.name = "drain_seconds",
       .flag = "--drain-seconds",
       .value = "N",
       .field = &Settings::drain_seconds,
       .doc = "How long SIGTERM waits for running answers. A second signal stops at once.",
       .max = 86400},
      {.name = "allowed_hosts",
       .flag = "--allowed-host",
       .value = "NAME",
       .field = &Settings::allowed_hosts,
       .doc = "Names that clients may call this server by, besides localhost.",
       .default_words = "none"},
      {.name = "allowed_origins",
       .flag = "--allowed-origin",
       .value = "URL",
       .field = &Settings::allowed_origins,
       .doc = "Web pages that may call this server: `https://chat.example`.",
       .default_words = "none"},
      {.name = "strict",
       .flag = "--strict",
       .value = "",
       .field = &Settings::strict,
       .doc = "Refuses requests with fields that are not known, instead of naming them."},
      {.name = "log_level",
       .flag = "--log-level",
       .value = "LEVEL",
       .field = &Settings::log_level,
       .doc = "What the log on stderr says.",
       .choices = {"debug", "info", "warning", "error", "off"}},
  };
  return settings;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string quoted(std::string_view text) { return '"' + escape_controls(text) + '"'; }

std::unexpected<Error> refused(std::string message) {
  return fail(ErrorCode::InvalidArgument, std::move(message));
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string duration_text(std::uint64_t seconds) {
  constexpr std::pair<std::uint64_t, char> kUnits[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
  for (const auto& [length, unit] : kUnits) {
    if (seconds != 0 && seconds % length == 0) return fmt::format("{}{}", seconds / length, unit);
  }
  return fmt::format("{}s", seconds);
}

std::string number_text(const Setting& setting, std::uint64_t number) {
  if (setting.duration) return duration_text(number);
  return setting.bytes ? bytes_text(number) : std::to_string(number);
}

std::string wanted_number(const Setting& setting) {
  return fmt::format("a number from {} to {}{}", number_text(setting, setting.min),
                     number_text(setting, setting.max),
                     setting.bytes      ? " bytes (512M and 4G are understood)"
                     : setting.duration ? " (seconds, 90s, 10m and 2h are understood)"
                                        : "");
}

Result<void> set_checked_number(Settings& settings, const Setting& setting,
                                std::optional<std::uint64_t> number, std::string_view written) {
  if (!number || *number < setting.min || *number > setting.max)
    return refused(fmt::format("takes {}, not {}", wanted_number(setting), quoted(written)));
  settings.*std::get<std::uint64_t Settings::*>(setting.field) = *number;
  return {};
}

Result<void> set_word(Settings& settings, const Setting& setting, std::string_view word) {
  if (!setting.choices.empty() && !std::ranges::count(setting.choices, word)) {
    return refused(fmt::format("takes {}, not {}", fmt::join(setting.choices, ", "), quoted(word)));
  }
  if (setting.engines) MINERVA_TRY(check_engine(word, true));
  settings.*std::get<std::string Settings::*>(setting.field) = word;
  return {};
}

}  // namespace

std::string Setting::variable() const {
  std::string out = "MINERVA_";
  for (const char c : name) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::span<const Setting> setting_table() { return table(); }

const Setting* find_setting(std::string_view name) {
  const auto at = std::ranges::find(table(), name, &Setting::name);
  return at == table().end() ? nullptr : &*at;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  if (unit.ends_with('B')) unit.remove_suffix(1);
  if (unit.ends_with('i') && unit.size() > 1) unit.remove_suffix(1);
  if (unit.empty()) return number;
  constexpr std::string_view kUnits = "KMGT";
  const char letter = unit[0] >= 'a' && unit[0] <= 'z' ? static_cast<char>(unit[0] - 32) : unit[0];
  const std::size_t power = kUnits.find(letter);
  if (unit.size() != 1 || power == std::string_view::npos) return std::nullopt;
  return checked_mul(number, std::uint64_t{1} << (10 * (power + 1)));
}

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const auto unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  if (unit.empty() || unit == "s") return number;
  if (unit == "m") return checked_mul(number, std::uint64_t{60});
  if (unit == "h") return checked_mul(number, std::uint64_t{3600});
  if (unit == "d") return checked_mul(number, std::uint64_t{86400});
  return std::nullopt;
}

Result<void> check_engine(std::string_view name, bool automatic) {
  constexpr std::string_view kEngines[] = {"native", "llama_cpp", "mlx"};
  if (automatic && name == "auto") return {};
  if (std::ranges::count(kEngines, name) != 0) return {};
  if (name.starts_with("remote:") && backend::is_engine_name(name)) return {};
  return refused(fmt::format("takes {}{} or remote:NAME, not {}", automatic ? "auto, " : "",
                             fmt::join(kEngines, ", "), quoted(name)));
}

Result<void> set_number(Settings& settings, const Setting& setting, std::int64_t number) {
  if (!std::holds_alternative<std::uint64_t Settings::*>(setting.field))
    return refused(fmt::format("takes no number, but {} was given", number));
  return set_checked_number(settings, setting, checked_cast<std::uint64_t>(number),
                            std::to_string(number));
}

Result<void> set_words(Settings& settings, const Setting& setting, std::vector<std::string> words) {
  if (!setting.is_list()) return refused("takes one value, but a list was given");
  if (setting.engines) {
    if (words.size() > backend::kFallbackMax) {
      return refused(fmt::format("takes {} engines at most, but {} were given",
                                 backend::kFallbackMax, words.size()));
    }
    for (const std::string& word : words) MINERVA_TRY(check_engine(word, false));
  }
  settings.*std::get<std::vector<std::string> Settings::*>(setting.field) = std::move(words);
  return {};
}

Result<void> set_from_text(Settings& settings, const Setting& setting, std::string_view text) {
  text = trimmed(text);
  if (setting.is_list()) {
    std::vector<std::string> words;
    while (!text.empty()) {
      const std::size_t comma = std::min(text.find(','), text.size());
      if (const auto word = trimmed(text.substr(0, comma)); !word.empty()) words.emplace_back(word);
      text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return set_words(settings, setting, std::move(words));
  }
  if (setting.is_switch()) {
    const bool yes = text == "true" || text == "1" || text == "yes" || text == "on";
    const bool no = text == "false" || text == "0" || text == "no" || text == "off";
    if (!yes && !no) return refused(fmt::format("takes true or false, not {}", quoted(text)));
    settings.*std::get<bool Settings::*>(setting.field) = yes;
    return {};
  }
  if (std::holds_alternative<std::string Settings::*>(setting.field))
    return set_word(settings, setting, text);
  std::optional<std::uint64_t> number;
  if (setting.bytes) {
    number = parse_bytes(text);
  } else if (setting.duration) {
    number = parse_duration(text);
  } else {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size()) number = value;
  }
  return set_checked_number(settings, setting, number, text);
}

std::string value_text(const Settings& settings, const Setting& setting) {
  if (const auto* word = std::get_if<std::string Settings::*>(&setting.field))
    return settings.**word;
  if (const auto* number = std::get_if<std::uint64_t Settings::*>(&setting.field))
    return number_text(setting, settings.**number);
  if (const auto* flag = std::get_if<bool Settings::*>(&setting.field))
    return settings.**flag ? "true" : "false";
  const auto list = std::get<std::vector<std::string> Settings::*>(setting.field);
  return fmt::format("{}", fmt::join(settings.*list, ", "));
}

std::string settings_markdown() {
  const Settings defaults;
  std::string out = "| setting | flag | default | what it does |\n|---|---|---|---|\n";
  for (const Setting& setting : table()) {
    const std::string flag = setting.is_switch()
                                 ? fmt::format("`{}`", setting.flag)
                                 : fmt::format("`{} {}`", setting.flag, setting.value);
    std::string fallback(setting.default_words);
    if (fallback.empty()) fallback = fmt::format("`{}`", value_text(defaults, setting));
    std::string doc(setting.doc);
    if (!setting.choices.empty())
      doc += fmt::format(" One of {}.", fmt::join(setting.choices, ", "));
    if (setting.is_list()) doc += " The flag may be repeated.";
    out += fmt::format("| `{}` | {} | {} | {} |\n", setting.name, flag, fallback, doc);
  }
  return out;
}

}  // namespace minerva::cli
