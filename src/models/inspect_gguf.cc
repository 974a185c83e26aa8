#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/checked.h"
#include "base/log.h"
#include "formats/gguf.h"
#include "models/config_facts.h"
#include "models/inspect.h"

namespace minerva::models {
namespace {

constexpr std::size_t kNameBytesMax = 80;
constexpr std::uint64_t kPoolingRank = 4;  // it makes scores of pairs of texts

std::string short_text(std::string_view text) {
  return escape_controls(text.substr(0, kNameBytesMax));
}

std::uint64_t number(const formats::GgufFile& file, const std::string& key) {
  return file.get_uint(key).value_or(0);
}

// Of all layers together: one number for each layer, or one for all of them.
std::uint64_t kv_heads(const formats::GgufFile& file, const std::string& prefix,
                       std::uint64_t layers) {
  const std::string key = prefix + "attention.head_count_kv";
  if (const auto each = file.get_ints(key); each && !each->empty()) {
    std::int64_t sum = 0;
    for (const std::int64_t heads : *each) {
      const auto more = checked_add(sum, heads);
      if (heads < 0 || !more) return 0;
      sum = *more;
    }
    return static_cast<std::uint64_t>(sum);
  }
  const std::uint64_t heads =
      file.has(key) ? number(file, key) : number(file, prefix + "attention.head_count");
  return checked_mul(layers, heads).value_or(0);
}

// Those that keep keys and values: in models with gated delta rules every `interval`-th one.
std::uint64_t layers_with_kv(const formats::GgufFile& file, const std::string& prefix) {
  const std::uint64_t layers = number(file, prefix + "block_count");
  if (const auto states = file.get_bools(prefix + "attention.recurrent_layers")) {
    const auto count = static_cast<std::uint64_t>(std::ranges::count(*states, true));
    return layers - std::min(layers, count);
  }
  const std::uint64_t interval = number(file, prefix + "full_attention_interval");
  return interval == 0 ? layers : layers / interval;
}

// Keys and values as models of llama's kind keep them. Layers that look at a window need less, so
// this is the most that a token can take.
std::uint64_t kv_of(const formats::GgufFile& file, const std::string& prefix) {
  const std::uint64_t layers = layers_with_kv(file, prefix);
  const std::uint64_t heads = number(file, prefix + "attention.head_count");
  const std::uint64_t width = heads == 0 ? 0 : number(file, prefix + "embedding_length") / heads;
  const auto length = [&](const char* key) {
    const std::uint64_t given = number(file, prefix + key);
    return given == 0 ? width : given;
  };
  return kv_bytes(kv_heads(file, prefix, layers), length("attention.key_length"),
                  length("attention.value_length"));
}

std::string main_type(const formats::GgufFile& file) {
  std::map<formats::DType, std::uint64_t> bytes;
  for (const formats::GgufTensor& tensor : file.tensors()) bytes[tensor.type] += tensor.bytes();
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& one) { return one.second; });
  return most == bytes.end() ? std::string() : std::string(formats::dtype_info(most->first).name);
}

void judge_adapter(ModelEntry& entry, const formats::GgufFile& file) {
  entry.kind = ModelKind::Adapter;
  const std::string sort = short_text(file.get_string_or("adapter.type", "lora").value_or("lora"));
  entry.evidence.push_back(fmt::format("general.type is \"adapter\", adapter.type \"{}\"", sort));
  entry.problem = fmt::format(
      "{}: a {} adapter for {} models, which changes another model: name it in that model's "
      "adapters",
      entry.path, sort, entry.architecture);
}

void judge_projector(ModelEntry& entry, const formats::GgufFile& file) {
  entry.kind = ModelKind::Projector;
  entry.width = number(file, "clip.vision.projection_dim");
  entry.sees = file.get_bool_or("clip.has_vision_encoder", true).value_or(true);
  entry.evidence.push_back(fmt::format("general.architecture is \"{}\": a projector{}",
                                       entry.architecture, entry.sees ? " for images" : ""));
  if (entry.width != 0)
    entry.evidence.push_back(fmt::format("for models that are {} wide", entry.width));
  entry.problem = fmt::format(
      "{}: a projector, the eyes of another model: put it beside that model's file, or name it as "
      "that model's mmproj",
      entry.path);
}

void judge(ModelEntry& entry, const formats::GgufFile& file) {
  const auto architecture = file.get_string("general.architecture");
  if (!architecture) {
    entry.problem = architecture.error().message;
    return;
  }
  entry.architecture = short_text(*architecture);
  entry.weight_type = main_type(file);
  const std::string type(file.get_string_or("general.type", "model").value_or("model"));
  if (type == "adapter") return judge_adapter(entry, file);
  if (*architecture == "clip" || type == "mmproj" || type == "clip-vision")
    return judge_projector(entry, file);
  if (type != "model") {
    entry.problem =
        fmt::format("{}: general.type is \"{}\": it holds no model", entry.path, short_text(type));
    return;
  }
  const std::string prefix = std::string(*architecture) + '.';
  entry.context_length = number(file, prefix + "context_length");
  entry.width = number(file, prefix + "embedding_length");
  // Who sees the whole text at once keeps no keys and values.
  const bool causal = file.get_bool_or(prefix + "attention.causal", true).value_or(true);
  entry.kv_bytes_per_token = causal ? kv_of(file, prefix) : 0;
  const std::uint64_t pooling = number(file, prefix + "pooling_type");
  entry.embeds = pooling != kPoolingRank && (pooling != 0 || !causal);
  entry.evidence.push_back(fmt::format("general.architecture is \"{}\"", entry.architecture));
  const std::size_t parts = file.shard_paths().size();
  if (parts > 1) entry.evidence.push_back(fmt::format("{} parts, all there", parts));
  entry.evidence.push_back(fmt::format("{} tensors, most bytes of type {}", file.tensors().size(),
                                       entry.weight_type.empty() ? "unknown" : entry.weight_type));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

// Letters and digits of a file's name, without "mmproj" and what stands for its number type.
std::vector<std::string> name_words(std::string_view path) {
  std::string name = lower(path.substr(path.rfind('/') + 1));
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  std::vector<std::string> words(1);
  for (const char c : name) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  std::erase_if(words, [](const std::string& word) {
    return word.empty() || word == "mmproj" || word == "model" || word == "f16" || word == "f32" ||
           word == "bf16" || word == "q8" || word == "0";
  });
  return words;
}

// "mmproj-gemma-3-4b-it-f16" belongs to "gemma-3-4b-it-Q4_K_M": all its words, in that order.
bool named_for(std::string_view projector, std::string_view model) {
  const auto wanted = name_words(projector);
  const auto there = name_words(model);
  return !wanted.empty() && wanted.size() <= there.size() &&
         std::equal(wanted.begin(), wanted.end(), there.begin());
}

// Whether they fit together, as far as the files say so.
bool widths_agree(const ModelEntry& projector, const ModelEntry& model) {
  return projector.width == 0 || model.width == 0 || projector.width == model.width;
}

}  // namespace

void inspect_gguf(ModelEntry& entry) {
  entry.format = backend::ModelFormat::Gguf;
  const auto file = formats::GgufFile::open(entry.path);
  if (!file) {
    entry.problem = file.error().message;
    return;
  }
  entry.size_bytes = (*file)->total_bytes();
  entry.evidence.push_back(fmt::format("it begins with \"GGUF\", version {}", (*file)->version()));
  for (const std::string& warning : (*file)->warnings())
    entry.evidence.push_back(escape_controls(warning));
  judge(entry, **file);
}

std::string projector_for(const ModelEntry& model, std::span<const ModelEntry> beside) {
  if (model.format != backend::ModelFormat::Gguf || model.kind != ModelKind::Model) return {};
  std::vector<const ModelEntry*> eyes;
  bool alike = true;
  for (const ModelEntry& entry : beside) {
    if (entry.kind == ModelKind::Projector && entry.sees) eyes.push_back(&entry);
    if (entry.kind == ModelKind::Model && entry.format == backend::ModelFormat::Gguf)
      alike = alike && entry.architecture == model.architecture && entry.width == model.width;
  }
  for (const ModelEntry* one : eyes) {
    if (named_for(one->path, model.path) && widths_agree(*one, model)) return one->path;
  }
  if (alike && eyes.size() == 1 && widths_agree(*eyes[0], model)) return eyes[0]->path;
  return {};
}

}  // namespace minerva::models
