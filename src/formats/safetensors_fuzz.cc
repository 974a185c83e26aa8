// Any bytes as a safetensors file, and as the index of one. What is accepted must hold what the
// header promises: every byte of the data belongs to one tensor.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/check.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace minerva::formats;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto header = parse_safetensors(std::span(bytes, size));
  if (header) {
    std::uint64_t held = 0;
    for (const SafetensorsTensor& tensor : header->tensors) {
      MINERVA_CHECK(tensor.offset + tensor.bytes <= size);
      MINERVA_CHECK(safetensors_dtype_bits(tensor.dtype) != 0);
      held += tensor.bytes;
    }
    if (!header->tensors.empty()) MINERVA_CHECK(header->tensors.front().offset + held == size);
  } else {
    MINERVA_CHECK(!header.error().message.empty());
  }
  const auto index =
      parse_safetensors_index(std::string_view(reinterpret_cast<const char*>(data), size));
  if (index) {
    for (const std::string& shard : index->shards)
      MINERVA_CHECK(shard.find('/') == std::string::npos && shard.front() != '.');
  }
  return 0;
}
