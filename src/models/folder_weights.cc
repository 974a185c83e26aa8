#include "models/folder_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "formats/safetensors.h"
#include "models/foreign_file.h"
#include "models/known_names.h"

namespace minerva::models {
namespace {

constexpr std::string_view kEnding = ".safetensors";
constexpr std::uint64_t kIndexBytesMax = 64ull << 20;
constexpr unsigned kShardsMax = 1000;

std::unexpected<Error> refused(const ModelFolder& folder, std::string_view what) {
  return fail(ErrorCode::InvalidModel, fmt::format("{}: {}", folder.path(), what));
}

// " (2 unfinished downloads lie there)", or nothing.
std::string unfinished_words(const ModelFolder& folder) {
  const auto count = std::ranges::count_if(
      folder.files(), [](const FolderFile& file) { return !unfinished_ending(file.path).empty(); });
  return count == 0 ? "" : fmt::format(" ({} unfinished downloads lie there)", count);
}

std::unexpected<Error> missing(const ModelFolder& folder, std::string_view name,
                               std::size_t files) {
  return refused(folder, fmt::format("{} is missing, one of {} files of weights{}", name, files,
                                     unfinished_words(folder)));
}

// What the index names; without one model.safetensors, beside which Mistral's folders have the same
// weights under their own names; without it all weights of the top folder. `indexed`: tensors that
// the index names.
Result<std::vector<std::string>> wanted_files(const ModelFolder& folder, std::uint64_t& indexed) {
  if (const FolderFile* index = folder.find("model.safetensors.index.json")) {
    MINERVA_ASSIGN(const std::string text, folder.read(*index, kIndexBytesMax));
    auto parsed = formats::parse_safetensors_index(text);
    if (!parsed)
      return fail(std::move(parsed).error().in(folder.path() + "/model.safetensors.index.json"));
    indexed = parsed->tensors;
    return std::move(parsed->shards);
  }
  if (const std::string whole = "model.safetensors"; folder.find(whole) != nullptr)
    return {{whole}};
  std::vector<std::string> names;
  for (const FolderFile& file : folder.files()) {
    if (file.path.contains('/') || !file.path.ends_with(kEnding)) continue;
    // Adapters lie beside the weights they change.
    if (file.path == "adapters.safetensors" || file.path == "adapter_model.safetensors") continue;
    names.push_back(file.path);
  }
  // Without an index the names still tell how many there should be.
  for (const std::string& name : names) {
    const ModelStem stem =
        model_stem(std::string_view(name).substr(0, name.size() - kEnding.size()));
    if (stem.parts > kShardsMax) continue;
    for (unsigned part = 1; stem.parts > 1 && part <= stem.parts; ++part) {
      const std::string sibling =
          fmt::format("{}-{:05}-of-{:05}{}", stem.name, part, stem.parts, kEnding);
      if (folder.find(sibling) == nullptr) return missing(folder, sibling, stem.parts);
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

Result<FolderWeights> read_folder_weights(const ModelFolder& folder) {
  FolderWeights weights;
  std::uint64_t indexed = 0;
  MINERVA_ASSIGN(weights.files, wanted_files(folder, indexed));
  if (weights.files.empty())
    return refused(folder, "no safetensors file in it" + unfinished_words(folder));
  std::map<std::string, std::uint64_t> bytes_of_type;
  for (const std::string& name : weights.files) {
    const FolderFile* file = folder.find(name);
    if (file == nullptr) return missing(folder, name, weights.files.size());
    for (const char* control : {".aria2", ".part"}) {
      if (folder.find(name + control) == nullptr) continue;
      return refused(folder, fmt::format("{} is a download that is not finished: {}{} lies there",
                                         name, name, control));
    }
    MINERVA_ASSIGN(const auto header, formats::read_safetensors(folder.path() + '/' + name));
    for (const formats::SafetensorsTensor& tensor : header.tensors)
      bytes_of_type[tensor.dtype] += tensor.bytes;
    weights.tensors += header.tensors.size();
    weights.size_bytes += header.file_bytes;
    if (weights.framework.empty()) weights.framework = escape_controls(header.framework());
  }
  if (weights.tensors < indexed) {
    return refused(folder, fmt::format("its index names {} tensors, its {} files hold {}", indexed,
                                       weights.files.size(), weights.tensors));
  }
  const auto most =
      std::ranges::max_element(bytes_of_type, {}, [](const auto& one) { return one.second; });
  if (most != bytes_of_type.end()) weights.main_type = most->first;
  return weights;
}

}  // namespace minerva::models
