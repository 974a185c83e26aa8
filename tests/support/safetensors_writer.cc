#include "support/safetensors_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/gguf_writer.h"

namespace minerva::test {

std::vector<std::byte> safetensors_bytes(std::string_view header, std::size_t data_bytes,
                                         std::optional<std::uint64_t> length_lie) {
  std::vector<std::byte> out;
  append(out, length_lie.value_or(header.size()));
  append_text(out, header);
  out.resize(out.size() + data_bytes);
  return out;
}

std::vector<std::byte> safetensors_file(const std::vector<SafetensorsEntry>& tensors,
                                        std::string_view format) {
  std::string header = fmt::format(R"({{"__metadata__":{{"format":"{}"}})", format);
  std::size_t at = 0;
  for (const SafetensorsEntry& tensor : tensors) {
    header +=
        fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name,
                    tensor.dtype, fmt::join(tensor.shape, ","), at, at + tensor.data.size());
    at += tensor.data.size();
  }
  header += "}";
  std::vector<std::byte> out = safetensors_bytes(header, 0);
  for (const SafetensorsEntry& tensor : tensors)
    out.insert(out.end(), tensor.data.begin(), tensor.data.end());
  return out;
}

std::vector<std::byte> small_safetensors(std::string_view format) {
  std::string header = "{";
  if (!format.empty()) header += R"("__metadata__":{"format":")" + std::string(format) + R"("},)";
  header += R"("a.weight":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]},)"
            R"("b.weight":{"dtype":"BF16","shape":[4,8],"data_offsets":[64,128]}})";
  return safetensors_bytes(header, 128);
}

std::vector<std::byte> small_mlx_safetensors() {
  return safetensors_bytes(R"({"__metadata__":{"format":"mlx"},)"
                           R"("a.weight":{"dtype":"U32","shape":[4,8],"data_offsets":[0,128]},)"
                           R"("a.scales":{"dtype":"BF16","shape":[4,1],"data_offsets":[128,136]}})",
                           136);
}

}  // namespace minerva::test
