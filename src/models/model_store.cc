#include "models/model_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "base/system.h"
#include "formats/gguf.h"
#include "models/model_name.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamesShown = 20;
constexpr std::size_t kQuotedBytesMax = 80;
constexpr std::size_t kFolderEntriesMax = 10'000;
// "-00001-of-00003": five digits, twice.
constexpr std::size_t kPartSuffixBytes = 15;

std::string quoted(std::string_view text) {
  const bool cut = text.size() > kQuotedBytesMax;
  return fmt::format("'{}{}'", escape_controls(text.substr(0, kQuotedBytesMax)), cut ? "…" : "");
}

// Five digits as a number; 0 when they are not.
unsigned five_digits(std::string_view text) {
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

std::string expand_home(std::string_view path) {
  if (!path.starts_with("~/")) return std::string(path);
  return home_directory() + std::string(path.substr(1));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

void read_gguf(ModelEntry& entry) {
  const auto file = formats::GgufFile::open(entry.path);
  if (!file) {
    entry.problem = file.error().message;
    return;
  }
  entry.format = backend::ModelFormat::Gguf;
  entry.size_bytes = (*file)->total_bytes();
  const auto architecture = (*file)->get_string("general.architecture");
  if (!architecture) {
    entry.problem = architecture.error().message;
    return;
  }
  entry.architecture = escape_controls(*architecture);
  const auto context = (*file)->get_uint(fmt::format("{}.context_length", *architecture));
  if (context) entry.context_length = *context;
}

StoreOptions options_of(std::vector<std::string> folders, std::vector<std::string> paths) {
  StoreOptions options;
  for (std::string& folder : folders)
    options.sources.push_back({SourceKind::Folder, std::move(folder)});
  options.paths = std::move(paths);
  return options;
}

}  // namespace

ModelStem model_stem(std::string_view path) {
  std::string stem = fs::path(path).filename().string();
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  const std::string_view view = stem;
  if (view.size() > kPartSuffixBytes) {
    const std::string_view suffix = view.substr(view.size() - kPartSuffixBytes);
    const unsigned part = five_digits(suffix.substr(1, 5));
    const unsigned parts = five_digits(suffix.substr(10, 5));
    if (suffix[0] == '-' && suffix.substr(6, 4) == "-of-" && part >= 1 && part <= parts) {
      return {std::string(view.substr(0, view.size() - kPartSuffixBytes)), part, parts};
    }
  }
  return {std::move(stem), 1, 1};
}

std::vector<std::string> nearest_first(std::string_view name, std::vector<std::string> names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (std::string& candidate : names) {
    const std::size_t distance =
        edit_distance(name, std::string_view(candidate).substr(0, kModelNameBytesMax));
    ranked.emplace_back(distance, std::move(candidate));
  }
  std::ranges::sort(ranked);
  std::ranges::transform(ranked, names.begin(),
                         [](auto& entry) { return std::move(entry.second); });
  return names;
}

std::vector<std::string> default_model_folders() {
  const std::string home = home_directory();
  if (home.empty()) return {};
  return {home + "/.minerva/models"};
}

Error unknown_model(std::string_view name, std::vector<std::string> names) {
  if (names.empty()) {
    return {ErrorCode::NotFound,
            fmt::format("unknown model {}: no model is known; put a .gguf file into "
                        "~/.minerva/models or give its path to --model",
                        quoted(name)),
            "model"};
  }
  names = nearest_first(name.substr(0, kModelNameBytesMax), std::move(names));
  const std::size_t left = names.size() - std::min(names.size(), kNamesShown);
  std::string list;
  for (std::size_t i = 0; i < names.size() - left; ++i) list += (i == 0 ? "" : ", ") + names[i];
  if (left > 0) list += fmt::format(" and {} more", left);
  return {ErrorCode::NotFound, fmt::format("unknown model {}; known: {}", quoted(name), list),
          "model"};
}

ModelStore::ModelStore(StoreOptions options) : options_(std::move(options)) {}

ModelStore::ModelStore(std::vector<std::string> folders, std::vector<std::string> paths)
    : ModelStore(options_of(std::move(folders), std::move(paths))) {}

ModelEntry ModelStore::inspect(const std::string& path) const {
  Inspected seen;
  ModelEntry& entry = seen.entry;
  entry.path = path;
  const ModelStem stem = model_stem(path);
  entry.name = escape_controls(stem.name);

  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    entry.problem = fmt::format("{}: {}", path, error.message());
    return entry;
  }
  // A pipe or a device could hold open() for ever, or never end.
  if (!fs::is_regular_file(status)) {
    entry.problem = fmt::format("{}: not a regular file", path);
    return entry;
  }
  seen.file_bytes = fs::file_size(path, error);
  const auto modified = fs::last_write_time(path, error);
  if (error) {
    entry.problem = fmt::format("{}: {}", path, error.message());
    return entry;
  }
  entry.size_bytes = seen.file_bytes;
  const auto since_epoch = std::chrono::file_clock::to_sys(modified).time_since_epoch();
  entry.modified_ns = std::chrono::nanoseconds(since_epoch).count();
  entry.modified_unix = std::chrono::floor<std::chrono::seconds>(since_epoch).count();
  {
    const std::lock_guard lock(mutex_);
    const auto known = inspected_.find(path);
    // A file with a problem is read again: what was wrong may have been another part's absence.
    if (known != inspected_.end() && known->second.entry.problem.empty() &&
        known->second.entry.modified_ns == entry.modified_ns &&
        known->second.file_bytes == seen.file_bytes) {
      return known->second.entry;
    }
  }
  if (stem.part != 1) {
    entry.problem =
        fmt::format("{}: part {} of {}: name the first part instead", path, stem.part, stem.parts);
    return entry;
  }
  read_gguf(entry);
  const std::lock_guard lock(mutex_);
  return inspected_.insert_or_assign(path, seen).first->second.entry;
}

void ModelStore::add_folder(const std::string& folder, std::vector<ModelEntry>& out) const {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    if (path.ends_with(".gguf")) paths.push_back(path);
    if (paths.size() >= kFolderEntriesMax) break;
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    log_warning("models: {}: {}", folder, error.message());
  }
  std::ranges::sort(paths);
  for (const std::string& path : paths) {
    const ModelStem stem = model_stem(path);
    if (stem.part != 1) {
      // The first part stands for all; a later one is shown only where the first is missing.
      const std::string first =
          fmt::format("{}/{}-00001-of-{:05}.gguf", folder, stem.name, stem.parts);
      const bool shown = std::ranges::any_of(
          out, [&](const ModelEntry& entry) { return entry.name == escape_controls(stem.name); });
      if (shown || std::ranges::binary_search(paths, first)) continue;
    }
    ModelEntry entry = inspect(path);
    if (stem.part != 1 && !entry.problem.empty()) {
      entry.problem = fmt::format("{}: part 1 of {} is missing", path, stem.parts);
    } else if (entry.problem.empty() && !ModelName::parse(stem.name)) {
      entry.problem = fmt::format(
          "{}: its name is none that a client can ask for (letters, digits and . _ : / - only): "
          "rename it, or give its path to --model",
          path);
    }
    out.push_back(std::move(entry));
  }
}

std::vector<ModelEntry> ModelStore::list() const {
  std::vector<ModelEntry> entries;
  for (const std::string& path : options_.paths) entries.push_back(inspect(expand_home(path)));
  for (const ModelSource& source : options_.sources) {
    if (source.kind == SourceKind::Folder) add_folder(source.root, entries);
  }
  std::map<std::string, std::string> path_of;  // of the first usable one of each name
  for (ModelEntry& entry : entries) {
    if (!entry.problem.empty()) continue;
    const auto [first, fresh] = path_of.emplace(entry.name, entry.path);
    if (fresh) continue;
    entry.problem = first->second == entry.path
                        ? "given twice"
                        : fmt::format("hidden by {}, which has the same name", first->second);
  }
  // Of equal names the usable one first: that is the one which resolve() finds.
  std::ranges::sort(entries, [](const ModelEntry& a, const ModelEntry& b) {
    const bool a_broken = !a.problem.empty();
    const bool b_broken = !b.problem.empty();
    return std::tie(a.name, a_broken, a.path) < std::tie(b.name, b_broken, b.path);
  });
  return entries;
}

Result<ModelEntry> ModelStore::resolve(std::string_view name_or_path, bool allow_paths) const {
  const std::vector<ModelEntry> known = list();
  const auto at = std::ranges::find(known, name_or_path, &ModelEntry::name);
  if (at != known.end() && (allow_paths || ModelName::parse(name_or_path))) {
    if (!at->problem.empty()) return fail(ErrorCode::InvalidModel, at->problem, "model");
    return *at;
  }
  const bool is_path = name_or_path.ends_with(".gguf") || name_or_path.contains('/');
  if (!allow_paths || !is_path) {
    std::vector<std::string> names;
    for (const ModelEntry& entry : known) {
      if (entry.problem.empty()) names.push_back(entry.name);
    }
    return fail(unknown_model(name_or_path, std::move(names)));
  }
  const std::string path = expand_home(name_or_path);
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(ErrorCode::NotFound, fmt::format("no such model file: {}", escape_controls(path)),
                "model");
  }
  ModelEntry entry = inspect(path);
  if (!entry.problem.empty()) return fail(ErrorCode::InvalidModel, entry.problem, "model");
  return entry;
}

}  // namespace minerva::models
