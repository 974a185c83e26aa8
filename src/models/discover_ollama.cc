#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <system_error>

#include "base/log.h"
#include "base/open_folder.h"
#include "formats/json_text.h"
#include "models/config_facts.h"
#include "models/digest.h"
#include "models/discovery.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kManifestBytesMax = 4 << 20;
constexpr std::uint64_t kConfigBytesMax = 4 << 20;
constexpr std::size_t kNameBytesMax = 80;

struct Store {
  const std::string& root;
  const OpenFolder& blobs;
};

std::string short_text(std::string_view text) {
  return escape_controls(text.substr(0, kNameBytesMax));
}

// Host, namespace, model and tag, as Ollama itself says them: its own host and the namespace of
// its own models are left out.
std::string shown_name(const std::string& host, const std::string& space, const std::string& model,
                       const std::string& tag) {
  std::string name;
  const bool own = host.starts_with("registry.");
  if (!own) name += host + '/';
  if (!own || space != "library") name += space + '/';
  return name + model + ':' + tag;
}

// The blob's path when it is there, whole by its size.
Result<std::string> blob_path(const Store& store, const Json& layer) {
  MINERVA_ASSIGN(const Digest digest, Digest::parse(string_in(layer, "digest")));
  const std::string path = store.root + "/blobs/" + digest.file_name();
  std::error_code error;
  const std::uint64_t bytes = std::filesystem::file_size(path, error);
  const std::uint64_t wanted = number_in(layer, "size");
  if (error) return fail(ErrorCode::InvalidModel, fmt::format("{}: {}", path, error.message()));
  if (wanted != 0 && bytes != wanted) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("{} has {} bytes, its manifest says {}: a download that was not "
                            "finished?",
                            path, bytes, wanted));
  }
  return path;
}

// A manifest can stand for a model on another machine. Using it would send prompts there.
Result<void> check_not_remote(const Store& store, const Json& manifest) {
  const Json* config = object_in(manifest, "config");
  if (config == nullptr) return {};
  MINERVA_ASSIGN(const Digest digest, Digest::parse(string_in(*config, "digest")));
  const auto text = store.blobs.read_file(digest.file_name(), kConfigBytesMax);
  if (!text) return {};
  const auto json = formats::parse_json_text(*text);
  if (!json) return fail(Error(json.error()).in("its config"));
  for (const char* key : {"remote_host", "remote_model"}) {
    if (!json->is_object() || !json->contains(key)) continue;
    return fail(ErrorCode::InvalidModel,
                fmt::format("it runs on another machine ({}: {}), and prompts would be sent "
                            "there; it is not used",
                            key, short_text(string_in(*json, key))));
  }
  return {};
}

Result<void> read_layers(const Store& store, const Json& manifest, Found& found) {
  const auto layers = manifest.find("layers");
  if (layers == manifest.end() || !layers->is_array())
    return fail(ErrorCode::InvalidModel, "its layers are missing");
  for (const Json& layer : *layers) {
    const std::string type = string_in(layer, "mediaType");
    const std::string_view kind = std::string_view(type).substr(type.rfind('.') + 1);
    if (kind == "model") {
      if (!found.path.empty())
        return fail(ErrorCode::InvalidModel, "two model layers, one is understood");
      MINERVA_ASSIGN(found.path, blob_path(store, layer));
    } else if (kind == "projector") {
      MINERVA_ASSIGN(found.mmproj_path, blob_path(store, layer));
    } else if (kind == "adapter") {
      MINERVA_ASSIGN(std::string path, blob_path(store, layer));
      found.adapter_paths.push_back(std::move(path));
    } else if (kind == "template" || kind == "params" || kind == "system") {
      found.evidence.push_back(
          fmt::format("its manifest has a layer {}, which is not used: what the model's file says "
                      "counts",
                      kind));
    }
  }
  if (found.path.empty())
    return fail(ErrorCode::InvalidModel, "no GGUF layer in it, and other kinds are not read");
  return {};
}

Result<void> read_manifest(const Store& store, const OpenFolder& folder, const std::string& file,
                           Found& found) {
  MINERVA_ASSIGN(const std::string text, folder.read_file(file, kManifestBytesMax));
  MINERVA_ASSIGN(const Json manifest, formats::parse_json_text(text));
  if (!manifest.is_object()) return fail(ErrorCode::InvalidModel, "the manifest is no object");
  MINERVA_TRY(check_not_remote(store, manifest));
  return read_layers(store, manifest, found);
}

std::vector<FolderItem> items_of(const OpenFolder& folder) {
  return folder.items(kFolderEntriesMax).value_or(std::vector<FolderItem>{});
}

struct Walk {
  const Store& store;
  std::vector<Found>& out;
  std::vector<std::string> parts;  // host, namespace, model
};

constexpr std::size_t kNameParts = 3;

void walk(Walk& walked, const OpenFolder& folder) {
  for (const FolderItem& item : items_of(folder)) {
    if (walked.out.size() >= kFolderEntriesMax) return;
    if (walked.parts.size() < kNameParts) {
      if (item.type != FileType::Folder) continue;
      const auto inside = folder.open_inside(item.name);
      if (!inside) continue;
      walked.parts.push_back(item.name);
      walk(walked, *inside);
      walked.parts.pop_back();
      continue;
    }
    if (item.type != FileType::Regular) continue;
    Found found;
    found.companions = false;
    found.name = shown_name(walked.parts[0], walked.parts[1], walked.parts[2], item.name);
    const std::string manifest = folder.path() + '/' + item.name;
    const auto read = read_manifest(walked.store, folder, item.name, found);
    if (!read) found.problem = fmt::format("{}: {}", manifest, read.error().message);
    if (found.path.empty()) found.path = manifest;
    walked.out.push_back(std::move(found));
  }
}

}  // namespace

void find_in_ollama(const ModelSource& source, std::vector<Found>& out) {
  const auto manifests = OpenFolder::open(source.root + "/manifests");
  const auto blobs = OpenFolder::open(source.root + "/blobs");
  if (!manifests || !blobs) return;
  const Store store{source.root, *blobs};
  Walk walked{store, out, {}};
  walk(walked, *manifests);
}

}  // namespace minerva::models
