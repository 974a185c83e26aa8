#include "backend/native/native_kind.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "engine/model_config.h"

namespace minerva::backend {
namespace {

// Activations, batches, the vocabulary and the template.
constexpr std::uint64_t kOverheadBytes = std::uint64_t{64} << 20;

}  // namespace

std::optional<std::string> native_objection(const ModelSpec& spec) {
  if (spec.format != ModelFormat::Gguf) {
    return fmt::format("reads GGUF files, and this model is {}", to_string(spec.format));
  }
  if (spec.mmproj_path) return "takes no vision projector";
  if (!spec.adapter_paths.empty()) return "takes no adapters";
  const auto known = engine::supported_architectures();
  if (!spec.architecture.empty() && std::ranges::find(known, spec.architecture) == known.end()) {
    return fmt::format("runs {}, and this model is {}", fmt::join(known, ", "), spec.architecture);
  }
  return std::nullopt;
}

MemoryNeed native_memory_need(const ModelSpec& spec, std::size_t context_size,
                              std::size_t context_default) {
  std::uint64_t context = context_size != 0 ? context_size : context_default;
  if (spec.trained_context != 0) {
    context = context == 0 ? spec.trained_context : std::min(context, spec.trained_context);
  }
  MemoryNeed need;
  // Packed for the kernels, which takes about as much as the file.
  need.weights_bytes = spec.size_bytes;
  need.kv_bytes = context * spec.kv_bytes_per_token;
  need.overhead_bytes = kOverheadBytes;
  return need;
}

NativeKind::NativeKind(NativeOptions options, engine::ComputePool& pool,
                       const kernels::KernelTable& kernels, const Clock& clock, Metrics& metrics,
                       std::string version)
    : options_(std::move(options)),
      pool_(pool),
      kernels_(kernels),
      clock_(clock),
      metrics_(metrics),
      version_(std::move(version)) {}

Availability NativeKind::probe(Duration) {
  Availability found;
  found.available = true;
  found.version = version_;
  found.device = fmt::format("cpu: {}, {} threads", kernels_.name, pool_.size());
  return found;
}

std::optional<std::string> NativeKind::objection(const ModelSpec& spec) const {
  return native_objection(spec);
}

Capabilities NativeKind::capabilities(const ModelSpec&) const {
  return NativeBackend(options_, pool_, kernels_, clock_, metrics_).capabilities();
}

MemoryNeed NativeKind::memory_need(const ModelSpec& spec, std::size_t context_size) const {
  return native_memory_need(spec, context_size, options_.context_default);
}

Result<std::unique_ptr<InferenceBackend>> NativeKind::make() {
  return std::make_unique<NativeBackend>(options_, pool_, kernels_, clock_, metrics_);
}

}  // namespace minerva::backend
