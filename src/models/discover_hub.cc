#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/log.h"
#include "base/open_folder.h"
#include "models/discovery.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModelPrefix = "models--";
constexpr std::uint64_t kRefBytesMax = 256;

// "models--org--name" is "org/name"; nothing when it is no model's folder.
std::optional<std::string> repository_name(std::string_view folder) {
  if (!folder.starts_with(kModelPrefix)) return std::nullopt;
  std::string name(folder.substr(kModelPrefix.size()));
  if (const std::size_t at = name.find("--"); at != std::string::npos) name.replace(at, 2, "/");
  return name;
}

bool is_revision(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The revision that `main` is at; without that mark the only one, or the one changed last.
std::optional<std::string> current_revision(const std::string& repository) {
  const auto snapshots = OpenFolder::open(repository + "/snapshots");
  if (!snapshots) return std::nullopt;
  const auto items = snapshots->items(kFolderEntriesMax);
  if (!items) return std::nullopt;
  std::string main;
  if (const auto refs = OpenFolder::open(repository + "/refs")) {
    main = refs->read_file("main", kRefBytesMax).value_or("");
    while (!main.empty() && (main.back() == '\n' || main.back() == ' ')) main.pop_back();
  }
  const FolderItem* best = nullptr;
  for (const FolderItem& item : *items) {
    if (item.type != FileType::Folder || !is_revision(item.name)) continue;
    if (item.name == main) return main;
    if (best == nullptr || item.modified_ns > best->modified_ns) best = &item;
  }
  return best == nullptr ? std::nullopt : std::optional(best->name);
}

struct Repository {
  std::string name;
  std::vector<Found>& out;
  std::size_t& entries;
};

// A repository holds one model as a folder, or GGUF files of several versions.
void add_snapshot(const Repository& repository, const std::string& folder,
                  const std::string& prefix, std::size_t depth) {
  const FolderView view = look_at(folder, repository.entries);
  // Repositories of tokenizers and the like are no models.
  const bool is_model = depth == 0 ? view.is_model && view.has_weights : view.has_genai;
  if (is_model) {
    Found& found = repository.out.emplace_back();
    found.name = depth == 0 ? repository.name : prefix.substr(0, prefix.size() - 1);
    found.path = folder;
  }
  const bool lone = depth == 0 && !is_model && view.subfolders.empty();
  add_gguf_files(view, folder, prefix, lone ? repository.name : "", SourceKind::HuggingFace,
                 repository.out);
  if (depth + 1 >= kSourceDepthMax) return;
  for (const std::string& name : view.subfolders)
    add_snapshot(repository, folder + '/' + name, prefix + name + '/', depth + 1);
}

}  // namespace

void find_in_hub(const ModelSource& source, std::vector<Found>& out) {
  std::size_t entries = 0;
  const FolderView root = look_at(source.root, entries);
  for (const std::string& folder : root.subfolders) {
    const auto name = repository_name(folder);
    if (!name) continue;
    const std::string path = source.root + '/' + folder;
    if (const auto revision = current_revision(path))
      add_snapshot({*name, out, entries}, path + "/snapshots/" + *revision, *name + '/', 0);
  }
}

}  // namespace minerva::models
