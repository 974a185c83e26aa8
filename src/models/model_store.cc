#include "models/model_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "base/system.h"
#include "models/discovery.h"
#include "models/inspect.h"
#include "models/model_folder.h"
#include "models/model_name.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

std::string expand_home(std::string_view path) {
  if (!path.starts_with("~/")) return std::string(path);
  return home_directory() + std::string(path.substr(1));
}

// Where the verdict of a file depends on more than that file, it is not kept.
bool may_be_kept(const ModelEntry& entry) {
  return entry.problem.empty() || entry.kind != ModelKind::Model;
}

// Nothing for what is no regular file.
std::optional<FileTimes> times_of(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  FileTimes times;
  times.bytes = fs::file_size(path, error);
  const auto modified = fs::last_write_time(path, error);
  if (error) return std::nullopt;
  const auto since_epoch = std::chrono::file_clock::to_sys(modified).time_since_epoch();
  times.modified_ns = std::chrono::nanoseconds(since_epoch).count();
  return times;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Gives each model the projector that lies beside it, and takes out those that are given.
void join_projectors(std::vector<ModelEntry>& entries, const std::vector<bool>& companions) {
  std::map<std::string, std::vector<std::size_t>> by_folder;
  std::set<std::string> with_projector;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!companions[i]) continue;
    const std::string folder = folder_of(entries[i].path);
    by_folder[folder].push_back(i);
    if (entries[i].kind == ModelKind::Projector) with_projector.insert(folder);
  }
  std::set<std::string> given;
  for (const std::string& folder : with_projector) {
    std::vector<ModelEntry> beside;
    for (const std::size_t i : by_folder[folder]) beside.push_back(entries[i]);
    for (const std::size_t i : by_folder[folder]) {
      ModelEntry& entry = entries[i];
      entry.mmproj_path = projector_for(entry, beside);
      if (entry.mmproj_path.empty()) continue;
      entry.sees = true;
      given.insert(entry.mmproj_path);
    }
  }
  std::erase_if(entries, [&](const ModelEntry& entry) { return given.contains(entry.path); });
}

// Two that can be used never share a name.
void settle_names(std::vector<ModelEntry>& entries) {
  std::map<std::string, std::string> path_of;
  for (ModelEntry& entry : entries) {
    if (!entry.problem.empty()) continue;
    const auto [first, fresh] = path_of.emplace(entry.name, entry.path);
    if (fresh) continue;
    if (entry.full_name != entry.name && path_of.emplace(entry.full_name, entry.path).second) {
      entry.name = entry.full_name;
      continue;
    }
    entry.problem = first->second == entry.path
                        ? "given twice"
                        : fmt::format("hidden by {}, which has the same name", first->second);
  }
}

StoreOptions options_of(std::vector<std::string> folders, std::vector<std::string> paths) {
  StoreOptions options;
  for (std::string& folder : folders)
    options.sources.push_back({SourceKind::Folder, std::move(folder)});
  options.paths = std::move(paths);
  return options;
}

}  // namespace

ModelStore::ModelStore(StoreOptions options) : options_(std::move(options)) {}

ModelStore::ModelStore(std::vector<std::string> folders, std::vector<std::string> paths)
    : ModelStore(options_of(std::move(folders), std::move(paths))) {}

ModelEntry ModelStore::inspect_model_folder(const std::string& path) const {
  const auto folder = ModelFolder::open(path);
  Inspected seen;
  seen.entry.path = path;
  if (!folder) {
    seen.entry.problem = folder.error().message;
    return seen.entry;
  }
  seen.stamp = folder->stamp();
  {
    const std::lock_guard lock(mutex_);
    const auto known = inspected_.find(path);
    if (known != inspected_.end() && known->second.stamp == seen.stamp) return known->second.entry;
  }
  inspect_folder(seen.entry, *folder, options_.allow_code);
  const std::lock_guard lock(mutex_);
  return inspected_.insert_or_assign(path, std::move(seen)).first->second.entry;
}

ModelEntry ModelStore::inspect(const std::string& path, std::optional<FileTimes> times) const {
  std::error_code error;
  if (!times && fs::is_directory(path, error)) return inspect_model_folder(path);
  if (!times) times = times_of(path);
  if (times) {
    const std::lock_guard lock(mutex_);
    const auto known = inspected_.find(path);
    if (known != inspected_.end() && may_be_kept(known->second.entry) &&
        known->second.entry.modified_ns == times->modified_ns &&
        known->second.file_bytes == times->bytes) {
      return known->second.entry;
    }
  }
  Inspected seen{inspect_path(path, options_.allow_code), times ? times->bytes : 0};
  if (!times) return seen.entry;
  const std::lock_guard lock(mutex_);
  return inspected_.insert_or_assign(path, std::move(seen)).first->second.entry;
}

ModelEntry ModelStore::entry_of(const Found& found) const {
  ModelEntry entry;
  if (found.problem.empty()) {
    entry = inspect(found.path, found.times);
  } else {
    entry.path = found.path;
    entry.problem = found.problem;
    if (const auto times = times_of(found.path)) {
      entry.size_bytes = times->bytes;
      entry.modified_ns = times->modified_ns;
      entry.modified_unix = times->modified_ns / 1'000'000'000;
    }
  }
  entry.name = escape_controls(found.name);
  entry.full_name = escape_controls(found.full_name);
  entry.source = to_string(found.source);
  if (!found.mmproj_path.empty()) {
    entry.mmproj_path = found.mmproj_path;
    const ModelEntry eyes = inspect(found.mmproj_path);
    entry.sees = eyes.kind == ModelKind::Projector && eyes.sees;
  }
  entry.adapter_paths = found.adapter_paths;
  entry.evidence.insert(entry.evidence.end(), found.evidence.begin(), found.evidence.end());
  return entry;
}

std::vector<ModelEntry> ModelStore::find_all() const {
  std::vector<ModelEntry> entries;
  std::vector<bool> companions;
  const auto add = [&](const Found& found) {
    entries.push_back(entry_of(found));
    companions.push_back(found.companions);
  };
  for (const std::string& given : options_.paths) {
    Found found;
    found.path = expand_home(given);
    found.name = found.full_name = model_stem(found.path).name;
    found.companions = false;
    add(found);
    ModelEntry& entry = entries.back();
    entry.source = "given path";
    if (model_stem(found.path).part != 1) {
      const ModelStem stem = model_stem(found.path);
      entry.problem = fmt::format("{}: part {} of {}: name the first part instead", found.path,
                                  stem.part, stem.parts);
    }
  }
  for (const ModelSource& source : options_.sources) {
    for (const Found& found : find_models(source)) {
      add(found);
      ModelEntry& entry = entries.back();
      if (!entry.problem.empty() || ModelName::parse(found.name)) continue;
      entry.problem = fmt::format(
          "{}: its name is none that a client can ask for (letters, digits and . _ : / - only): "
          "rename it, or give its path to --model",
          found.path);
    }
  }
  join_projectors(entries, companions);
  return entries;
}

void ModelStore::forget_unseen(const std::vector<ModelEntry>& seen) const {
  constexpr std::size_t kSpare = 1000;  // paths that were asked for by hand, and projectors
  const std::lock_guard lock(mutex_);
  if (inspected_.size() <= seen.size() + kSpare) return;
  std::set<std::string_view> paths;
  for (const ModelEntry& entry : seen) paths.insert(entry.path);
  std::erase_if(inspected_, [&](const auto& one) { return !paths.contains(one.first); });
}

std::vector<ModelEntry> ModelStore::list() const {
  std::vector<ModelEntry> entries = find_all();
  settle_names(entries);
  // Of equal names the usable one first: that is the one which resolve() finds.
  std::ranges::sort(entries, [](const ModelEntry& a, const ModelEntry& b) {
    const bool a_broken = !a.problem.empty();
    const bool b_broken = !b.problem.empty();
    return std::tie(a.name, a_broken, a.path) < std::tie(b.name, b_broken, b.path);
  });
  forget_unseen(entries);
  std::map<std::string, ModelEntry, std::less<>> known;
  for (const ModelEntry& entry : entries) {
    if (entry.problem.empty()) known.emplace(entry.name, entry);
  }
  for (const ModelEntry& entry : entries) {
    if (entry.problem.empty() && !known.contains(entry.full_name))
      known.emplace(entry.full_name, entry);
  }
  const std::lock_guard lock(mutex_);
  known_ = std::move(known);
  return entries;
}

bool ModelStore::unchanged(const ModelEntry& entry) const {
  std::uint64_t file_bytes = 0;
  std::uint64_t stamp = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = inspected_.find(entry.path);
    if (at == inspected_.end()) return false;
    file_bytes = at->second.file_bytes;
    stamp = at->second.stamp;
  }
  if (!entry.mmproj_path.empty() && !times_of(entry.mmproj_path)) return false;
  if (stamp != 0) {
    const auto folder = ModelFolder::open(entry.path);
    return folder && folder->stamp() == stamp;
  }
  const auto times = times_of(entry.path);
  return times && times->modified_ns == entry.modified_ns && times->bytes == file_bytes;
}

Result<ModelEntry> ModelStore::look_up(std::string_view name_or_path, bool allow_paths) const {
  const bool may_be_name = allow_paths || ModelName::parse(name_or_path).has_value();
  std::optional<ModelEntry> quick;
  if (may_be_name) {
    const std::lock_guard lock(mutex_);
    const auto at = known_.find(name_or_path);
    if (at != known_.end()) quick = at->second;
  }
  if (quick && unchanged(*quick)) return *std::move(quick);
  const std::vector<ModelEntry> entries = list();
  if (may_be_name) {
    const std::string tagged = std::string(name_or_path) + ":latest";
    for (const auto& [wanted, member] :
         {std::pair{name_or_path, &ModelEntry::name},
          std::pair{name_or_path, &ModelEntry::full_name},
          std::pair{std::string_view(tagged), &ModelEntry::name},
          std::pair{std::string_view(tagged), &ModelEntry::full_name}}) {
      const auto at = std::ranges::find(entries, wanted, member);
      if (at != entries.end()) return *at;
    }
  }
  const bool is_path = name_or_path.ends_with(".gguf") || name_or_path.contains('/');
  if (!allow_paths || !is_path) {
    std::vector<std::string> names;
    for (const ModelEntry& entry : entries) {
      if (entry.problem.empty()) names.push_back(entry.name);
    }
    return fail(unknown_model(name_or_path, std::move(names)));
  }
  return look_at_path(expand_home(name_or_path));
}

Result<ModelEntry> ModelStore::look_at_path(std::string path) const {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(ErrorCode::NotFound, fmt::format("no such model file: {}", escape_controls(path)),
                "model");
  }
  const ModelStem stem = model_stem(path);
  ModelEntry entry = inspect(path);
  entry.name = entry.full_name = escape_controls(stem.name);
  entry.source = "given path";
  if (stem.part != 1) {
    entry.problem =
        fmt::format("{}: part {} of {}: name the first part instead", path, stem.part, stem.parts);
  }
  if (entry.format != backend::ModelFormat::Gguf || !entry.mmproj_path.empty()) return entry;
  std::size_t entries = 0;
  const std::string folder = path.contains('/') ? folder_of(path) : ".";
  std::vector<ModelEntry> beside;
  const FolderView view = look_at(folder, entries);
  for (std::size_t i = 0; i < view.gguf.size(); ++i) {
    if (model_stem(view.gguf[i]).part == 1)
      beside.push_back(inspect(folder + '/' + view.gguf[i], view.gguf_times[i]));
  }
  entry.mmproj_path = projector_for(entry, beside);
  if (!entry.mmproj_path.empty()) entry.sees = true;
  return entry;
}

Result<ModelEntry> ModelStore::resolve(std::string_view name_or_path, bool allow_paths) const {
  MINERVA_ASSIGN(ModelEntry entry, look_up(name_or_path, allow_paths));
  if (!entry.problem.empty()) return fail(ErrorCode::InvalidModel, entry.problem, "model");
  return entry;
}

}  // namespace minerva::models
