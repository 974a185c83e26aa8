#include "models/transposed_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace minerva::models {

TransposedRows::TransposedRows(WeightSource source, RowOrder order)
    : source_(std::move(source)),
      order_(order),
      inputs_(source_.shape.at(1)),
      outputs_(source_.shape.at(2)),
      rows_each_(order.count(outputs_)),
      value_bytes_(source_.row_bytes() / outputs_) {}

void TransposedRows::read(std::uint64_t first, std::span<std::byte> out) const {
  // Neighbouring outputs share a line of memory: so many at once, that it is read once for them.
  constexpr std::uint64_t kRowsAtOnce = 32;
  const std::uint64_t row_bytes = inputs_ * value_bytes_;
  MINERVA_CHECK(out.size() % row_bytes == 0);
  const std::uint64_t end = first + out.size() / row_bytes;
  std::byte* to = out.data();
  for (std::uint64_t row = first; row < end;) {
    const std::uint64_t matrix = row / rows_each_;
    const std::uint64_t in_matrix = row % rows_each_;
    const std::uint64_t count = std::min({kRowsAtOnce, end - row, rows_each_ - in_matrix});
    for (std::uint64_t k = 0; k < inputs_; ++k) {
      const std::byte* from =
          source_.plain.data() + (matrix * inputs_ + k) * outputs_ * value_bytes_;
      for (std::uint64_t i = 0; i < count; ++i) {
        std::memcpy(to + i * row_bytes + k * value_bytes_,
                    from + order_.source_row(in_matrix + i) * value_bytes_, value_bytes_);
      }
    }
    to += count * row_bytes;
    row += count;
  }
}

std::vector<std::span<const std::byte>> TransposedRows::sources() const { return {source_.plain}; }

}  // namespace minerva::models
