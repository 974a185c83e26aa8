#include "cli/engine_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <utility>

#include "backend/engine_name.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "models/model_name.h"

namespace minerva::cli {
namespace {

using serve::ModelRules;
using serve::RequestDefaults;
using toml::node;

constexpr std::uint64_t kTokensMax = std::uint64_t{1} << 24;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 46;
constexpr std::size_t kTablesMax = 1000;  // of models, of remote servers
constexpr std::size_t kWordsMax = 64;
constexpr std::size_t kTemplateBytesMax = std::size_t{1} << 20;
constexpr std::array<std::string_view, 9> kCacheTypes = {"f32",  "f16",  "bf16", "q8_0",  "q4_0",
                                                         "q4_1", "q5_0", "q5_1", "iq4_nl"};

std::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::InvalidArgument, std::move(message));
}

// --- one function for each kind of field ---

template <class T, class Value>
auto put(Value T::* member, auto read) {
  return [member, read](const node& n, T& out, const TomlFile& file) -> Result<void> {
    if constexpr (requires { read(n, file); }) {
      MINERVA_ASSIGN(out.*member, read(n, file));
    } else {
      MINERVA_ASSIGN(out.*member, read(n));
    }
    return {};
  };
}

auto number(std::uint64_t min, std::uint64_t max) {
  return [min, max](const node& n) { return toml_number(n, min, max); };
}
auto bytes(std::uint64_t max) {
  return [max](const node& n) { return toml_bytes(n, 0, max); };
}
auto choice(std::span<const std::string_view> choices) {
  return [choices](const node& n) { return toml_choice(n, choices); };
}
auto words() {
  return [](const node& n) { return toml_words(n, kWordsMax); };
}

Result<std::string> engine(const node& n) {
  MINERVA_ASSIGN(std::string name, toml_text(n));
  MINERVA_TRY(check_engine(name, true));
  return name;
}

Result<std::vector<std::string>> engines(const node& n) {
  MINERVA_ASSIGN(std::vector<std::string> names, toml_words(n, backend::kFallbackMax));
  for (const std::string& name : names) MINERVA_TRY(check_engine(name, false));
  return names;
}

Result<std::vector<std::string>> paths(const node& n, const TomlFile& file) {
  MINERVA_TRY(toml_words(n, kWordsMax));
  std::vector<std::string> out;
  for (const node& entry : *n.as_array()) {
    MINERVA_ASSIGN(std::string path, toml_path(entry, file));
    out.push_back(std::move(path));
  }
  return out;
}

Result<std::vector<std::string>> names(const node& n) {
  MINERVA_ASSIGN(std::vector<std::string> out, toml_words(n, kWordsMax));
  for (const std::string& name : out) MINERVA_TRY(models::ModelName::parse(name));
  return out;
}

Result<std::string> file_text(const node& n, const TomlFile& file) {
  MINERVA_ASSIGN(const std::string path, toml_path(n, file));
  MINERVA_ASSIGN(const auto content, MappedFile::open(path));
  const auto data = content->bytes();
  if (data.size() > kTemplateBytesMax)
    return wrong(
        fmt::format("{} has {} bytes, at most {} are read", path, data.size(), kTemplateBytesMax));
  return std::string(reinterpret_cast<const char*>(data.data()), data.size());
}

Result<std::string> server_url(std::string url) {
  const bool plain = url.starts_with("http://");
  if (!plain && !url.starts_with("https://"))
    return wrong(fmt::format("takes an address that begins with https:// or http://, not \"{}\"",
                             escape_controls(url)));
  const std::string_view rest = std::string_view(url).substr(plain ? 7 : 8);
  const std::string_view host = rest.substr(0, rest.find('/'));
  // The address itself may hold the secret, so it is not repeated.
  if (host.contains('@')) return wrong("holds a password; name a key_file or a key_env instead");
  if (host.empty() || rest.contains(' ') || rest.contains('?') || rest.contains('#'))
    return wrong(fmt::format("takes an address and a path, not \"{}\"", escape_controls(url)));
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// --- the tables ---

template <class Number>
auto fraction(std::optional<Number> RequestDefaults::* member, double min, double max) {
  return [=](const node& n, RequestDefaults& out, const TomlFile&) -> Result<void> {
    MINERVA_ASSIGN(const double value, toml_fraction(n, min, max));
    out.*member = static_cast<Number>(value);
    return {};
  };
}

const std::vector<TomlField<RequestDefaults>>& default_fields() {
  static const std::vector<TomlField<RequestDefaults>> fields = {
      {"temperature", fraction(&RequestDefaults::temperature, 0, 5)},
      {"top_p", fraction(&RequestDefaults::top_p, 0.000001, 1)},
      {"min_p", fraction(&RequestDefaults::min_p, 0, 1)},
      {"repetition_penalty", fraction(&RequestDefaults::repetition_penalty, 0.01, 10)},
      {"top_k",
       [](const node& n, RequestDefaults& out, const TomlFile&) -> Result<void> {
         MINERVA_ASSIGN(const std::uint64_t value, toml_number(n, 0, kTokensMax));
         out.top_k = static_cast<std::int32_t>(value);
         return {};
       }},
      {"max_tokens", put(&RequestDefaults::max_tokens, number(1, kTokensMax))},
  };
  return fields;
}

Result<void> read_defaults(const node& n, ModelRules& out, const TomlFile& file) {
  MINERVA_ASSIGN(const toml::table* const table, toml_table(n));
  return read_fields<RequestDefaults>(*table, default_fields(), out.defaults, "defaults", file);
}

Result<void> read_isolation(const node& n, ModelRules& out, const TomlFile&) {
  constexpr std::array<std::string_view, 2> kModes = {"none", "process"};
  MINERVA_ASSIGN(const std::string mode, toml_choice(n, kModes));
  out.isolated = mode == "process";
  return {};
}

Result<void> read_idle_ttl(const node& n, ModelRules& out, const TomlFile&) {
  MINERVA_ASSIGN(const std::uint64_t seconds, toml_seconds(n));
  out.idle_ttl = std::chrono::seconds(seconds);
  return {};
}

const std::vector<TomlField<ModelRules>>& model_fields() {
  static const std::vector<TomlField<ModelRules>> fields = {
      {"path", put(&ModelRules::path, toml_path)},
      {"aliases", put(&ModelRules::aliases, names)},
      {"backend", put(&ModelRules::backend, engine)},
      {"fallback", put(&ModelRules::fallback, engines)},
      {"context", put(&ModelRules::context_size, number(0, kTokensMax))},
      {"pin", put(&ModelRules::pin, toml_switch)},
      {"preload", put(&ModelRules::preload, toml_switch)},
      {"idle_ttl", read_idle_ttl},
      {"isolation", read_isolation},
      {"mmproj", put(&ModelRules::mmproj_path, toml_path)},
      {"adapters", put(&ModelRules::adapter_paths, paths)},
      {"chat_template", put(&ModelRules::chat_template, file_text)},
      {"defaults", read_defaults},
  };
  return fields;
}

const std::vector<TomlField<LlamaCppSettings>>& llama_cpp_fields() {
  using S = LlamaCppSettings;
  static constexpr std::array<std::string_view, 3> kFlash = {"auto", "on", "off"};
  static const std::vector<TomlField<S>> fields = {
      {"enabled", put(&S::enabled, toml_switch)},
      {"path", put(&S::path, toml_program)},
      {"python", put(&S::python, toml_program)},
      {"gpu_layers", put(&S::gpu_layers, number(0, 10000))},
      {"device", put(&S::device, toml_text)},
      {"main_gpu", put(&S::main_gpu, number(0, 64))},
      {"tensor_split", put(&S::tensor_split, toml_text)},
      {"flash_attention", put(&S::flash_attention, choice(kFlash))},
      {"cache_type_k", put(&S::cache_type_k, choice(kCacheTypes))},
      {"cache_type_v", put(&S::cache_type_v, choice(kCacheTypes))},
      {"parallel", put(&S::parallel, number(1, 256))},
      {"batch", put(&S::batch, number(1, 65536))},
      {"ubatch", put(&S::ubatch, number(1, 65536))},
      {"threads", put(&S::threads, number(1, 1024))},
      {"threads_batch", put(&S::threads_batch, number(1, 1024))},
      {"mlock", put(&S::mlock, toml_switch)},
      {"extra_args", put(&S::extra_args, words())},
  };
  return fields;
}

const std::vector<TomlField<MlxSettings>>& mlx_fields() {
  using S = MlxSettings;
  static const std::vector<TomlField<S>> fields = {
      {"enabled", put(&S::enabled, toml_switch)},
      {"python", put(&S::python, toml_program)},
      {"prefill_step", put(&S::prefill_step, number(1, 65536))},
      {"prompt_cache_bytes", put(&S::prompt_cache_bytes, bytes(kBytesMax))},
      {"prompt_cache_size", put(&S::prompt_cache_size, number(0, 10000))},
      {"connections", put(&S::connections, number(1, 64))},
  };
  return fields;
}

Result<void> read_url(const node& n, RemoteSettings& out, const TomlFile&) {
  MINERVA_ASSIGN(std::string text, toml_text(n));
  MINERVA_ASSIGN(std::string url, server_url(std::move(text)));
  out.urls.push_back(std::move(url));
  return {};
}

Result<void> read_urls(const node& n, RemoteSettings& out, const TomlFile&) {
  MINERVA_ASSIGN(std::vector<std::string> texts, toml_words(n, kWordsMax));
  for (std::string& text : texts) {
    MINERVA_ASSIGN(std::string url, server_url(std::move(text)));
    out.urls.push_back(std::move(url));
  }
  return {};
}

Result<std::string> variable_name(const node& n) {
  MINERVA_ASSIGN(std::string name, toml_text(n));
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  // It may be the key itself, so it is not repeated.
  if (!plain) return wrong("takes the name of an environment variable, not the key itself");
  return name;
}

const std::vector<TomlField<RemoteSettings>>& remote_fields() {
  using S = RemoteSettings;
  static constexpr std::array<std::string_view, 3> kModes = {"auto", "chat", "completions"};
  static const std::vector<TomlField<S>> fields = {
      {"url", read_url},
      {"urls", read_urls},
      {"key_file", put(&S::key_file, toml_path)},
      {"key_env", put(&S::key_env, variable_name)},
      {"models", put(&S::models, words())},
      {"mode", put(&S::mode, choice(kModes))},
      {"insecure", put(&S::insecure, toml_switch)},
      {"ca_file", put(&S::ca_file, toml_path)},
  };
  return fields;
}

Result<void> read_model(ModelRules& rules, const toml::table& table, const TomlFile& file) {
  return read_fields<ModelRules>(table, model_fields(), rules,
                                 fmt::format("models.\"{}\"", rules.name), file);
}

Result<void> read_remote(RemoteSettings& remote, const toml::table& table, const TomlFile& file) {
  const std::string place = fmt::format("remotes.{}", remote.name);
  MINERVA_TRY(read_fields<RemoteSettings>(table, remote_fields(), remote, place, file));
  const auto refuse = [&](std::string message) {
    return at_line(file, table.source(), place, {ErrorCode::InvalidArgument, std::move(message)});
  };
  if (remote.urls.empty()) return refuse("needs a url, or urls");
  if (!remote.key_file.empty() && !remote.key_env.empty())
    return refuse("has a key_file and a key_env: give one of them");
  return {};
}

// The entries of [models] or [remotes], in the file's order.
std::vector<std::pair<const toml::key*, const node*>> in_order(const toml::table& table) {
  std::vector<std::pair<const toml::key*, const node*>> out;
  for (const auto& [key, value] : table) out.emplace_back(&key, &value);
  std::ranges::stable_sort(out, {}, [](const auto& entry) {
    const auto& begin = entry.first->source().begin;
    return std::pair(begin.line, begin.column);
  });
  return out;
}

template <class Make>
Result<void> read_named(const toml::table& table, std::string_view place, const TomlFile& file,
                        Make make) {
  if (table.size() > kTablesMax) {
    return wrong(fmt::format("{}: {} may have {} tables, not {}", file.path, place, kTablesMax,
                             table.size()));
  }
  for (const auto& [key, value] : in_order(table)) {
    const std::string where = fmt::format("{}.\"{}\"", place, escape_controls(key->str()));
    const auto inner = toml_table(*value);
    if (!inner) return at_line(file, key->source(), where, inner.error());
    if (auto made = make(std::string(key->str()), **inner); !made) {
      return at_line(file, key->source(), where, std::move(made.error()));
    }
  }
  return {};
}

Result<void> read_models(Configuration& configuration, const toml::table& table,
                         const TomlFile& file) {
  return read_named(table, "models", file,
                    [&](std::string name, const toml::table& inner) -> Result<void> {
                      MINERVA_TRY(models::ModelName::parse(name));
                      ModelRules rules;
                      rules.name = std::move(name);
                      MINERVA_TRY(read_model(rules, inner, file));
                      configuration.rules.models.push_back(std::move(rules));
                      return {};
                    });
}

Result<void> read_remotes(Configuration& configuration, const toml::table& table,
                          const TomlFile& file) {
  return read_named(table, "remotes", file,
                    [&](std::string name, const toml::table& inner) -> Result<void> {
                      if (!backend::is_remote_name(name))
                        return wrong("takes a name of letters, digits, \".\", \"_\" and \"-\"");
                      RemoteSettings remote;
                      remote.name = std::move(name);
                      MINERVA_TRY(read_remote(remote, inner, file));
                      configuration.engines.remotes.push_back(std::move(remote));
                      return {};
                    });
}

Result<void> read_backends(Configuration& configuration, const toml::table& table,
                           const TomlFile& file) {
  for (const auto& [key, value] : table) {
    const std::string place = fmt::format("backends.{}", key.str());
    if (key.str() != "llama_cpp" && key.str() != "mlx")
      return unknown_key(file, "backends", key, {"llama_cpp", "mlx"});
    const auto inner = toml_table(value);
    if (!inner) return at_line(file, key.source(), place, inner.error());
    EngineSettings& engines = configuration.engines;
    MINERVA_TRY(key.str() == "mlx"
                    ? read_fields<MlxSettings>(**inner, mlx_fields(), engines.mlx, place, file)
                    : read_fields<LlamaCppSettings>(**inner, llama_cpp_fields(), engines.llama_cpp,
                                                    place, file));
  }
  return {};
}

Result<void> check_known(const Configuration& configuration, const std::string& name,
                         const std::string& where) {
  constexpr std::string_view kRemote = "remote:";
  if (!name.starts_with(kRemote)) return {};
  const auto& remotes = configuration.engines.remotes;
  if (std::ranges::count(remotes, name.substr(kRemote.size()), &RemoteSettings::name) != 0)
    return {};
  return wrong(fmt::format("{}: there is no [remotes.{}] in {}", where, name.substr(kRemote.size()),
                           configuration.home.config_file()));
}

}  // namespace

bool is_table_name(std::string_view name) {
  return name == "models" || name == "backends" || name == "remotes";
}

Result<void> read_engine_table(Configuration& configuration, std::string_view name,
                               const toml::node& node, const TomlFile& file) {
  const auto table = toml_table(node);
  if (!table) return at_line(file, node.source(), name, table.error());
  if (name == "models") return read_models(configuration, **table, file);
  if (name == "remotes") return read_remotes(configuration, **table, file);
  return read_backends(configuration, **table, file);
}

Result<void> check_engine_names(const Configuration& configuration) {
  const serve::ServingRules& rules = configuration.rules;
  MINERVA_TRY(check_known(configuration, rules.backend, "backend"));
  for (const std::string& name : rules.fallback)
    MINERVA_TRY(check_known(configuration, name, "fallback"));
  std::set<std::string_view> seen;
  for (const ModelRules& model : rules.models) seen.insert(model.name);
  for (const ModelRules& model : rules.models) {
    const std::string where = fmt::format("models.\"{}\"", model.name);
    if (model.backend) MINERVA_TRY(check_known(configuration, *model.backend, where));
    for (const std::string& name : model.fallback)
      MINERVA_TRY(check_known(configuration, name, where));
    for (const std::string& alias : model.aliases) {
      if (!seen.insert(alias).second)
        return wrong(fmt::format("{}: another model is called \"{}\", too", where, alias));
    }
  }
  return {};
}

}  // namespace minerva::cli
