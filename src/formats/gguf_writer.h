// Writes a GGUF file: first everything but the weights, then these, tensor by tensor, in pieces. It
// grows as PATH.part and is PATH only when it is whole; until then, whatever fails or kills us,
// what was at PATH stays. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/dtype.h"
#include "formats/gguf.h"
#include "formats/gguf_metadata.h"

namespace minerva::formats {

// One to be written: `type` is a GGUF file's, the dims are as in GgufTensor.
struct GgufTensorPlan {
  std::string name;
  DType type = DType::F32;
  std::uint32_t n_dims = 1;
  std::array<std::uint64_t, kGgufDimsMax> dims = {1, 1, 1, 1};

  std::uint64_t bytes() const;
};

class GgufWriter {
 public:
  // InvalidArgument when there is something at `path` and not `overwrite`, or when PATH.part is
  // there (another writer, or what one that was killed left).
  static Result<std::unique_ptr<GgufWriter>> create(std::string path, bool overwrite,
                                                    const GgufMetadata& metadata,
                                                    std::vector<GgufTensorPlan> tensors);
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;
  ~GgufWriter();

  // The next bytes of the weights, in the order of the plan; what goes on beyond one tensor goes
  // into the next one.
  Result<void> write(std::span<const std::byte> bytes);
  // After the last byte; not all of them is our own mistake.
  Result<void> finish();

  std::uint64_t file_bytes() const { return written_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  GgufWriter() = default;
  Result<void> put(std::span<const std::byte> bytes);
  Result<void> pad();

  std::string path_;
  std::string part_path_;  // empty once it is gone
  bool overwrite_ = false;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<GgufTensorPlan> tensors_;
  std::size_t tensor_ = 0;          // the one that is being written
  std::uint64_t tensor_bytes_ = 0;  // of it, so far
  std::uint64_t written_ = 0;
};

}  // namespace minerva::formats
