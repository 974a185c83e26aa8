#include "backend/native/native_kind.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "backend/native/loaded_model.h"
#include "engine/decoder.h"
#include "engine/encoder.h"
#include "engine/kv_cache.h"
#include "engine/model.h"
#include "engine/model_config.h"
#include "formats/gguf.h"

namespace minerva::backend {
namespace {

// A vocabulary's text, its tables and the words of the batcher's masks, a token.
constexpr std::uint64_t kBytesOfWord = 128;
constexpr std::uint64_t kThreadBytes = std::uint64_t{4} << 20;  // stacks and small things
// Of a file whose header cannot be read, so that the load says what is wrong with it.
constexpr std::uint64_t kUnknownBytes = std::uint64_t{64} << 20;
// The context shrinks down to here before a model is refused; it is a short question and answer.
constexpr std::size_t kLeastContext = 256;

// Scratch space is reckoned for so many threads.
constexpr unsigned kThreadsGuess = 16;

Result<MemoryNeed> encoder_need(const formats::GgufFile& file, std::size_t context_size,
                                const NativeOptions& options) {
  MINERVA_ASSIGN(const engine::EncoderConfig config, engine::read_encoder_config(file));
  std::size_t context = context_size != 0 ? context_size : config.usual_context;
  context = std::min(context, config.trained_context);
  MemoryNeed need;
  need.weights_bytes = engine::EncoderModel::packed_bytes(file, options.numerics);
  need.overhead_bytes =
      engine::Encoder::work_bytes(config, std::max(kEncoderStepTokens, context), kThreadsGuess) +
      config.vocabulary * kBytesOfWord + kThreadBytes;
  return need;
}

bool is_folder(const ModelSpec& spec) {
  return spec.format == ModelFormat::Safetensors || spec.format == ModelFormat::Mlx ||
         spec.format == ModelFormat::Gptq;
}

// In GGUF's terms.
const std::string& architecture_of(const ModelSpec& spec) {
  return is_folder(spec) ? spec.gguf_architecture : spec.architecture;
}

}  // namespace

std::optional<std::string> native_objection(const ModelSpec& spec) {
  const bool folder = is_folder(spec);
  if (spec.format != ModelFormat::Gguf && !folder) {
    return fmt::format("reads GGUF files and folders of safetensors, and this model is {}",
                       to_string(spec.format));
  }
  if (folder && !spec.folder_objection.empty()) return spec.folder_objection;
  if (spec.mmproj_path) return "takes no vision projector";
  if (!spec.adapter_paths.empty()) return "takes no adapters";
  const auto known = engine::supported_architectures();
  const std::string& architecture = architecture_of(spec);
  if (!architecture.empty() && !engine::is_encoder(architecture) &&
      std::ranges::find(known, architecture) == known.end()) {
    return fmt::format("runs {}, {}, and this model is {}", fmt::join(known, ", "),
                       fmt::join(engine::encoder_architectures(), ", "), architecture);
  }
  return std::nullopt;
}

Result<MemoryNeed> native_memory_need(const ModelSpec& spec, std::size_t context_size,
                                      const NativeOptions& options) {
  MINERVA_ASSIGN(const auto file, open_weights(options, spec));
  MINERVA_ASSIGN(const std::string_view architecture, file->get_string("general.architecture"));
  if (engine::is_encoder(architecture)) return encoder_need(*file, context_size, options);
  MINERVA_ASSIGN(const engine::ModelConfig config, engine::read_config(*file));
  const engine::KvLayout layout(config);
  std::size_t context = context_size != 0 ? context_size : config.trained_context;
  if (context_size == 0 && options.context_default != 0) {
    context = std::min(context, options.context_default);
  }
  engine::Decoder::Limits limits;
  limits.tokens = std::min(options.schedule.tokens, engine::kChunkMax);
  MemoryNeed need;
  // Rows of the embedding are read from the file, whose pages the system may take back.
  need.weights_bytes = engine::Model::packed_bytes(*file, options.numerics);
  need.kv_bytes = layout.bytes_for(context);
  need.overhead_bytes =
      engine::Decoder::work_bytes(config, limits) + config.vocabulary * kBytesOfWord + kThreadBytes;
  const std::size_t least = context_size != 0 ? context_size : std::min(context, kLeastContext);
  need.least_bytes = need.weights_bytes + layout.bytes_for(least) + need.overhead_bytes;
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

Capabilities NativeKind::capabilities(const ModelSpec& spec) const {
  return native_capabilities(engine::is_encoder(architecture_of(spec)));
}

MemoryNeed NativeKind::memory_need(const ModelSpec& spec, std::size_t context_size) const {
  const NeedKey key{spec.path, spec.size_bytes, context_size};
  {
    const std::lock_guard lock(needs_mutex_);
    if (const auto known = needs_.find(key); known != needs_.end()) return known->second;
  }
  auto need = native_memory_need(spec, context_size, options_);
  if (!need) return {spec.size_bytes, 0, kUnknownBytes, 0};
  const std::lock_guard lock(needs_mutex_);
  return needs_[key] = *need;
}

Result<std::unique_ptr<InferenceBackend>> NativeKind::make() {
  return std::make_unique<NativeBackend>(options_, pool_, kernels_, clock_, metrics_);
}

}  // namespace minerva::backend
