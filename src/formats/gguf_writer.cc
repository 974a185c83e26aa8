#include "formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "formats/gguf_bytes.h"

namespace minerva::formats {
namespace {

constexpr std::uint64_t kAlignment = 32;  // of a file that names none
// What the writer's own sums may come to; no disk is larger.
constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 60;

std::uint64_t padded(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::unexpected<Error> io_error(std::string_view what, const std::string& path, int reason) {
  return fail(ErrorCode::Io, fmt::format("cannot {} {}: {}", what, path, std::strerror(reason)));
}

}  // namespace

std::uint64_t GgufTensorPlan::bytes() const {
  const DTypeInfo& info = dtype_info(type);
  return dims[0] / info.block * info.block_bytes * dims[1] * dims[2] * dims[3];
}

Result<std::unique_ptr<GgufWriter>> GgufWriter::create(std::string path, bool overwrite,
                                                       const GgufMetadata& metadata,
                                                       std::vector<GgufTensorPlan> tensors) {
  std::unique_ptr<GgufWriter> writer(new GgufWriter());
  std::error_code ignored;
  if (!overwrite && std::filesystem::exists(path, ignored)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is there already; --force replaces it", path));
  }
  std::vector<std::byte> head;
  put_header(head, tensors.size(), metadata.count());
  put_bytes(head, metadata.entries());
  std::uint64_t offset = 0;
  for (const GgufTensorPlan& tensor : tensors) {
    MINERVA_CHECK(find_dtype(static_cast<std::uint32_t>(tensor.type)) != nullptr);
    put_string(head, tensor.name);
    formats::put(head, tensor.n_dims);
    for (std::uint32_t d = 0; d < tensor.n_dims; ++d) formats::put(head, tensor.dims[d]);
    formats::put(head, tensor.type);
    formats::put(head, offset);
    MINERVA_CHECK(tensor.bytes() < kFileBytesMax - offset);
    offset += padded(tensor.bytes());
  }
  writer->path_ = std::move(path);
  writer->overwrite_ = overwrite;
  writer->tensors_ = std::move(tensors);
  const std::string part = writer->path_ + ".part";
  // x: only when it is not there, so that two writers never share one.
  writer->file_.reset(std::fopen(part.c_str(), "wbx"));
  if (writer->file_ == nullptr) {
    const int reason = errno;
    if (reason == EEXIST) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("{} is there: another conversion writes it, or was killed while it "
                              "did; if none runs, remove it",
                              part));
    }
    return io_error("write", part, reason);
  }
  writer->part_path_ = part;
  MINERVA_TRY(writer->put(head));
  MINERVA_TRY(writer->pad());
  return writer;
}

GgufWriter::~GgufWriter() {
  file_.reset();
  if (!part_path_.empty()) std::remove(part_path_.c_str());
}

Result<void> GgufWriter::put(std::span<const std::byte> bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
    return io_error("write", part_path_, errno);
  written_ += bytes.size();
  return {};
}

Result<void> GgufWriter::pad() {
  constexpr std::byte kZeros[kAlignment] = {};
  return put(std::span(kZeros).first(padded(written_) - written_));
}

Result<void> GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    MINERVA_CHECK(tensor_ < tensors_.size());
    const std::uint64_t left = tensors_[tensor_].bytes() - tensor_bytes_;
    const auto now = bytes.first(std::min<std::uint64_t>(left, bytes.size()));
    MINERVA_TRY(put(now));
    tensor_bytes_ += now.size();
    bytes = bytes.subspan(now.size());
    if (tensor_bytes_ < tensors_[tensor_].bytes()) continue;
    MINERVA_TRY(pad());
    ++tensor_;
    tensor_bytes_ = 0;
  }
  return {};
}

Result<void> GgufWriter::finish() {
  MINERVA_CHECK(tensor_ == tensors_.size());
  // A full disk may show only here.
  if (std::fclose(file_.release()) != 0) return io_error("write", part_path_, errno);
  std::error_code error;
  if (!overwrite_ && std::filesystem::exists(path_, error)) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("{} is there now and was not before; --force replaces it", path_));
  }
  std::filesystem::rename(part_path_, path_, error);
  if (error) {
    return fail(ErrorCode::Io,
                fmt::format("cannot rename {} to {}: {}", part_path_, path_, error.message()));
  }
  part_path_.clear();
  return {};
}

}  // namespace minerva::formats
