#include "formats/gguf_sniff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/log.h"
#include "formats/byte_reader.h"

namespace minerva::formats {
namespace {

// The model's size, from the pointer's line "size N"; empty when there is none.
std::string_view lfs_size(std::string_view text) {
  constexpr std::string_view kField = "\nsize ";
  const std::size_t at = text.find(kField);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + kField.size(), 20);
  return rest.substr(0, rest.find_first_not_of("0123456789"));
}

bool is_safetensors(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  std::uint64_t header = 0;
  char first = 0;
  constexpr std::uint64_t kHeaderBytesMax = 100ull << 20;  // the format's own limit
  return reader.read(header) && header <= kHeaderBytesMax && reader.read(first) && first == '{';
}

}  // namespace

std::string what_it_is_instead(std::span<const std::byte> bytes) {
  const std::string_view head = as_text(bytes).substr(0, 1024);
  if (head.empty()) return "the file is empty (0 bytes); download it again";
  if (std::string_view("GGUF").starts_with(head)) {
    return fmt::format("the file ends inside the magic: 4 bytes needed, {} there", head.size());
  }
  if (head.starts_with("version https://git-lfs")) {
    const std::string_view size = lfs_size(head);
    return fmt::format("it is a Git LFS pointer, not the model{}; run `git lfs pull` in its folder",
                       size.empty() ? "" : fmt::format(" ({} bytes)", size));
  }
  for (const std::string_view old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (head.starts_with(old)) {
      return "it is a GGML file of before GGUF (2023); convert the original model again";
    }
  }
  if (head.starts_with("PK\x03\x04")) {
    return "it is a zip archive (a PyTorch checkpoint, or a GGUF that must be unpacked first)";
  }
  if (head.starts_with("\x1f\x8b")) return "it is gzip-compressed; unpack it first";
  if (is_safetensors(bytes)) return "it is a safetensors file; this needs its GGUF conversion";
  std::string_view trimmed = head.substr(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  if (trimmed.starts_with("<!") || trimmed.starts_with("<html") || trimmed.starts_with("<?xml")) {
    return "it is a web page: the download saved an error page instead of the model";
  }
  if (trimmed.starts_with("{")) return "it is JSON text, perhaps an error saved by a download";
  if (head.find_first_not_of('\0') == std::string_view::npos) {
    return "it begins with zeros: a download that was reserved but not finished";
  }
  return fmt::format("it begins with \"{}\" instead of \"GGUF\"",
                     escape_controls(head.substr(0, 4)));
}

}  // namespace minerva::formats
