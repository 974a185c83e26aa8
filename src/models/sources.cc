#include "models/sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace minerva::models {
namespace {

constexpr std::string_view kWords[] = {"all",         "none",      "ollama",
                                       "huggingface", "lm_studio", "llama_cpp"};

}  // namespace

std::string_view to_string(SourceKind kind) {
  switch (kind) {
    case SourceKind::Folder:
      return "models folder";
    case SourceKind::Ollama:
      return "ollama";
    case SourceKind::HuggingFace:
      return "huggingface";
    case SourceKind::LmStudio:
      return "lm_studio";
    case SourceKind::LlamaCpp:
      return "llama_cpp";
  }
  return "models folder";
}

Result<std::vector<ModelSource>> model_sources(const std::string& models_folder,
                                               std::span<const std::string> wanted,
                                               const std::string& home,
                                               const VariableLookup& variable) {
  for (const std::string& word : wanted) {
    if (std::ranges::find(kWords, word) != std::end(kWords)) continue;
    return fail(ErrorCode::InvalidArgument,
                fmt::format("model_sources takes {}, not \"{}\"", fmt::join(kWords, ", "),
                            escape_controls(word)),
                "model_sources");
  }
  const auto has = [&](std::string_view word) {
    return std::ranges::find(wanted, word) != wanted.end();
  };
  if (has("none") && wanted.size() > 1) {
    return fail(ErrorCode::InvalidArgument, "model_sources: none stands alone", "model_sources");
  }
  std::vector<ModelSource> out = {{SourceKind::Folder, models_folder}};
  const auto add = [&](SourceKind kind, std::string root) {
    const bool known = std::ranges::any_of(
        out, [&](const ModelSource& source) { return source.kind == kind && source.root == root; });
    if (!root.empty() && !known) out.push_back({kind, std::move(root)});
  };
  const auto value = [&](std::string_view name) { return variable(name).value_or(""); };
  const auto below_home = [&](std::string_view path) {
    return home.empty() ? std::string() : home + std::string(path);
  };
  const bool all = wanted.empty() || has("all");
  if (all || has("ollama")) {
    const std::string own = value("OLLAMA_MODELS");
    add(SourceKind::Ollama, own.empty() ? below_home("/.ollama/models") : own);
  }
  if (all || has("huggingface")) {
    // The order in which huggingface_hub itself looks.
    std::string root = value("HF_HUB_CACHE");
    if (root.empty()) root = value("HUGGINGFACE_HUB_CACHE");
    if (root.empty() && variable("HF_HOME")) root = value("HF_HOME") + "/hub";
    if (root.empty() && variable("XDG_CACHE_HOME"))
      root = value("XDG_CACHE_HOME") + "/huggingface/hub";
    add(SourceKind::HuggingFace, root.empty() ? below_home("/.cache/huggingface/hub") : root);
  }
  if (all || has("lm_studio")) {
    add(SourceKind::LmStudio, below_home("/.lmstudio/models"));
    add(SourceKind::LmStudio, below_home("/.cache/lm-studio/models"));
  }
  if (all || has("llama_cpp")) {
    std::string root = value("LLAMA_CACHE");
    if (root.empty() && variable("XDG_CACHE_HOME")) root = value("XDG_CACHE_HOME") + "/llama.cpp";
    add(SourceKind::LlamaCpp, root.empty() ? below_home("/.cache/llama.cpp") : root);
  }
  return out;
}

}  // namespace minerva::models
