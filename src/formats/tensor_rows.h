// Weights that do not lie in their file as a kernel's pack step reads them: in another order of
// rows, in several pieces, or in blocks of another format. They are made when they are read, a row
// at a time, so that no second copy of a model is ever in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace minerva::formats {

// Immutable; any thread.
class TensorRows {
 public:
  virtual ~TensorRows() = default;
  // Fills `out`, a whole number of rows, with the rows from `first` on. The caller keeps within the
  // tensor.
  virtual void read(std::uint64_t first, std::span<std::byte> out) const = 0;
  // The bytes of files that it reads from.
  virtual std::vector<std::span<const std::byte>> sources() const = 0;
};

}  // namespace minerva::formats
