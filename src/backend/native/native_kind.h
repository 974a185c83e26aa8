// Our own engine as a kind of engine: always there, takes GGUF files, and folders in the terms of
// these (NativeOptions::open), of the architectures that it knows.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "backend/engine_kind.h"
#include "backend/native/native_backend.h"

namespace minerva::backend {

// Any thread. What is passed in outlives it and every backend that it makes.
class NativeKind final : public EngineKind {
 public:
  NativeKind(NativeOptions options, engine::ComputePool& pool, const kernels::KernelTable& kernels,
             const Clock& clock, Metrics& metrics, std::string version);

  std::string_view name() const override { return "native"; }
  Availability probe(Duration time_max) override;
  std::optional<std::string> objection(const ModelSpec& spec) const override;
  Capabilities capabilities(const ModelSpec& spec) const override;
  MemoryNeed memory_need(const ModelSpec& spec, std::size_t context_size) const override;
  Result<std::unique_ptr<InferenceBackend>> make() override;

 private:
  const NativeOptions options_;
  engine::ComputePool& pool_;
  const kernels::KernelTable& kernels_;
  const Clock& clock_;
  Metrics& metrics_;
  const std::string version_;
  // What was said of a model and a context: reading a header takes some milliseconds.
  using NeedKey = std::tuple<std::string, std::uint64_t, std::size_t>;
  mutable std::mutex needs_mutex_;
  mutable std::map<NeedKey, MemoryNeed> needs_;
};

// Why our own engine does not run this model, in or out of this process.
std::optional<std::string> native_objection(const ModelSpec& spec);
// What it needs for it, by the file's header.
Result<MemoryNeed> native_memory_need(const ModelSpec& spec, std::size_t context_size,
                                      const NativeOptions& options);

}  // namespace minerva::backend
