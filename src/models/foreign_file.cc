#include "models/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "formats/gguf_sniff.h"
#include "formats/safetensors.h"

namespace minerva::models {
namespace {

// An archive's names stand before their contents; torch.save writes data.pkl first.
constexpr std::size_t kArchiveHeadBytes = 64 << 10;

constexpr std::string_view kPickleWords =
    "a PyTorch checkpoint (a pickle): loading it runs what its author put into it, so nothing here "
    "does; use the model's safetensors or GGUF files";

std::string_view head_of(std::span<const std::byte> bytes, std::size_t length) {
  return {reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), length)};
}

bool is_zip(std::string_view head) { return head.starts_with("PK\x03\x04"); }

bool is_pickle(std::string_view head) {
  if (head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) return true;
  return is_zip(head) && head.contains(".pkl");
}

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length) + 1) return false;
  std::memcpy(&length, bytes.data(), sizeof(length));
  return length >= 2 && length <= formats::kSafetensorsHeaderBytesMax &&
         bytes[sizeof(length)] == std::byte{'{'};
}

}  // namespace

FileContent file_content(std::span<const std::byte> bytes) {
  const std::string_view head = head_of(bytes, kArchiveHeadBytes);
  if (head.starts_with("GGUF")) return FileContent::Gguf;
  if (is_pickle(head)) return FileContent::Pickle;
  return looks_like_safetensors(bytes) ? FileContent::Safetensors : FileContent::Other;
}

std::string foreign_file_words(std::span<const std::byte> bytes, std::string_view path) {
  const std::string_view head = head_of(bytes, kArchiveHeadBytes);
  switch (file_content(bytes)) {
    case FileContent::Pickle:
      return fmt::format("it is {}", kPickleWords);
    case FileContent::Safetensors:
      if (path.ends_with(".safetensors"))
        return "weights alone are no model: give the folder, with its config.json";
      return "it is a safetensors file under another name; weights alone are no model: give the "
             "folder, with its config.json";
    case FileContent::Gguf:
    case FileContent::Other:
      break;
  }
  if (head.starts_with("\x89HDF")) return "it is an HDF5 file (Keras), which no engine here reads";
  if (head.substr(0, 8).ends_with("TFL3"))
    return "it is a TensorFlow Lite model, which no engine here reads";
  if (head.starts_with("\x7f"
                       "ELF") ||
      head.starts_with("MZ"))
    return "it is a program, not a model";
  if (head.starts_with("%PDF")) return "it is a PDF document, not a model";
  if (path.ends_with(".onnx") && !head.empty() && head[0] == '\x08')
    return "it is an ONNX graph; a graph alone is no model: give the folder, with its "
           "genai_config.json";
  return formats::what_it_is_instead(bytes);
}

std::string_view unfinished_ending(std::string_view path) {
  for (const std::string_view ending : {".incomplete", ".part", ".partial", ".aria2", ".crdownload",
                                        ".download", ".tmp", ".downloadInProgress"}) {
    if (path.ends_with(ending)) return ending;
  }
  return {};
}

bool is_pickle_name(std::string_view path) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{".bin", ".pt", ".pth", ".pkl", ".ckpt"},
      [&](std::string_view ending) { return path.ends_with(ending); });
}

}  // namespace minerva::models
