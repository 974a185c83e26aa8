// Any bytes as a GGUF file: parsed, then everything that an engine or `show` would touch is
// touched.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "formats/dequantize.h"
#include "formats/gguf.h"

namespace minerva::formats {
namespace {

void walk_metadata(const GgufFile& file) {
  for (const GgufKeyValue& entry : file.metadata()) {
    MINERVA_CHECK(file.find(entry.key) == &entry.value);
    static_cast<void>(entry.value.describe());
    static_cast<void>(file.get_uint(entry.key));
    static_cast<void>(file.get_int(entry.key));
    static_cast<void>(file.get_float(entry.key));
    static_cast<void>(file.get_bool(entry.key));
    static_cast<void>(file.get_string(entry.key));
    static_cast<void>(file.get_strings(entry.key));
    static_cast<void>(file.get_floats(entry.key));
    static_cast<void>(file.get_ints(entry.key));
    static_cast<void>(file.get_bools(entry.key));
  }
}

void walk_tensors(const GgufFile& file) {
  std::vector<float> out;
  for (const GgufTensor& tensor : file.tensors()) {
    MINERVA_CHECK(file.find_tensor(tensor.name) == &tensor);
    const DTypeInfo& info = dtype_info(tensor.type);
    MINERVA_CHECK(tensor.elements() != 0 && tensor.dims[0] % info.block == 0);
    MINERVA_CHECK(tensor.data.size() == tensor.elements() / info.block * info.block_bytes);
    if (!info.decodable) continue;
    out.resize(info.block);
    dequantize(tensor.type, tensor.data.data(), out.data(), info.block);
    const std::byte* last = tensor.data.data() + tensor.data.size() - info.block_bytes;
    dequantize(tensor.type, last, out.data(), info.block);
  }
}

}  // namespace
}  // namespace minerva::formats

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using minerva::formats::GgufFile;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto file = GgufFile::parse(std::vector<std::byte>(bytes, bytes + size));
  if (!file) {
    MINERVA_CHECK(!file.error().message.empty());
    return 0;
  }
  minerva::formats::walk_metadata(**file);
  minerva::formats::walk_tensors(**file);
  return 0;
}
