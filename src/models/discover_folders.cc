#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "base/open_folder.h"
#include "models/discovery.h"
#include "models/foreign_file.h"
#include "models/known_names.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

bool names_a_projector(std::string_view file) { return lower(file).contains("mmproj"); }

// Files that people take for models, and unfinished downloads of some.
bool may_be_a_model(std::string_view file) {
  const std::string_view ending = unfinished_ending(file);
  std::string_view name = file.substr(0, file.size() - ending.size());
  // What lies beside a finished name is told of there.
  if (ending == ".aria2") return false;
  if (!ending.empty() && name.ends_with(".gguf")) return true;
  for (const std::string_view known : {".safetensors", ".ggml", ".onnx", ".engine"}) {
    if (name.ends_with(known)) return true;
  }
  return is_pickle_name(name);
}

std::string prefix_of(SourceKind source) {
  switch (source) {
    case SourceKind::Folder:
      return "";
    case SourceKind::Ollama:
      return "ollama/";
    case SourceKind::HuggingFace:
      return "hf/";
    case SourceKind::LmStudio:
      return "lmstudio/";
    case SourceKind::LlamaCpp:
      return "llamacpp/";
  }
  return "";
}

Found& add(std::vector<Found>& out, SourceKind source, std::string name, std::string path) {
  Found& found = out.emplace_back();
  found.full_name = prefix_of(source) + name;
  found.name = std::move(name);
  found.path = std::move(path);
  found.source = source;
  return found;
}

struct Walk {
  const ModelSource& source;
  std::vector<Found>& out;
  std::size_t entries = 0;
};

void walk(Walk& walked, const std::string& folder, const std::string& relative, std::size_t depth) {
  const FolderView view = look_at(folder, walked.entries);
  const SourceKind kind = walked.source.kind;
  if (view.is_model && depth > 0) add(walked.out, kind, relative, folder);
  // LM Studio calls a model by its folder, as PUBLISHER/MODEL.
  const bool by_folder = kind == SourceKind::LmStudio && depth > 0 && !view.is_model;
  const std::string prefix = relative.empty() ? "" : relative + '/';
  add_gguf_files(view, folder, prefix, by_folder ? relative : "", kind, walked.out);
  if (view.is_model && depth > 0) return;
  for (const std::string& file : view.other) {
    const std::string name =
        unfinished_ending(file).empty() ? fs::path(file).stem().string() : file;
    add(walked.out, kind, prefix + name, folder + '/' + file);
  }
  if (depth + 1 >= kSourceDepthMax) return;
  for (const std::string& name : view.subfolders)
    walk(walked, folder + '/' + name, prefix + name, depth + 1);
}

}  // namespace

FolderView look_at(const std::string& folder, std::size_t& entries) {
  FolderView view;
  const auto open = OpenFolder::open(folder);
  if (!open) {
    if (open.error().code != ErrorCode::NotFound) log_warning("models: {}", open.error().message);
    return view;
  }
  const std::size_t left = kSourceEntriesMax - std::min(entries, kSourceEntriesMax);
  const auto items = open->items(std::min(kFolderEntriesMax, left));
  if (!items) {
    log_warning("models: {}", items.error().message);
    return view;
  }
  entries += items->size();
  bool config = false;
  bool weights = false;
  bool pickle = false;
  for (const FolderItem& item : *items) {
    const std::string& name = item.name;
    const FileType type = item.type == FileType::Symlink ? item.target_type : item.type;
    if (type == FileType::Folder) {
      if (!name.starts_with('.')) view.subfolders.push_back(name);
      continue;
    }
    config = config || name == "config.json" || name == "adapter_config.json";
    weights = weights || name == "genai_config.json" || name == "model.safetensors.index.json" ||
              name.ends_with(".safetensors") || name.ends_with(".engine");
    view.has_genai = view.has_genai || name == "genai_config.json";
    pickle = pickle || is_pickle_name(name);
    if (name.ends_with(".gguf")) {
      view.gguf.push_back(name);
      view.gguf_times.push_back({item.size_bytes, item.modified_ns});
    } else if (may_be_a_model(name)) {
      view.other.push_back(name);
    }
  }
  view.is_model = weights || (config && (pickle || view.gguf.empty()));
  view.has_weights = weights || pickle;
  return view;
}

void add_gguf_files(const FolderView& view, const std::string& folder, std::string_view prefix,
                    std::string_view lone_name, SourceKind source, std::vector<Found>& out) {
  const auto models = std::ranges::count_if(view.gguf, [](const std::string& file) {
    return model_stem(file).part == 1 && !names_a_projector(file);
  });
  const std::size_t first_here = out.size();
  for (std::size_t i = 0; i < view.gguf.size(); ++i) {
    const std::string& file = view.gguf[i];
    const ModelStem stem = model_stem(file);
    const bool lone = models == 1 && !lone_name.empty() && !names_a_projector(file);
    const std::string name = lone ? std::string(lone_name) : std::string(prefix) + stem.name;
    std::string problem;
    if (stem.part != 1) {
      // The first part stands for all; a later one is shown only where the first is missing.
      const std::string first = fmt::format("{}-00001-of-{:05}.gguf", stem.name, stem.parts);
      if (std::ranges::binary_search(view.gguf, first)) continue;
      const bool shown =
          std::any_of(out.begin() + static_cast<std::ptrdiff_t>(first_here), out.end(),
                      [&](const Found& found) { return found.name == name; });
      if (shown) continue;
      problem = fmt::format("{}/{}: part 1 of {} is missing", folder, file, stem.parts);
    }
    Found& found = add(out, source, name, folder + '/' + file);
    found.problem = problem;
    found.times = view.gguf_times[i];
  }
}

void find_in_folders(const ModelSource& source, std::vector<Found>& out) {
  Walk walked{source, out};
  walk(walked, source.root, "", 0);
}

std::vector<Found> find_models(const ModelSource& source) {
  std::vector<Found> out;
  switch (source.kind) {
    case SourceKind::Folder:
    case SourceKind::LmStudio:
    case SourceKind::LlamaCpp:
      find_in_folders(source, out);
      break;
    case SourceKind::Ollama:
      find_in_ollama(source, out);
      break;
    case SourceKind::HuggingFace:
      find_in_hub(source, out);
      break;
  }
  for (Found& found : out) {
    found.source = source.kind;
    found.full_name = prefix_of(source.kind) + found.name;
  }
  return out;
}

}  // namespace minerva::models
