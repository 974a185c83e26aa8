// llama-server's own endpoint, POST /completion: prompts as token ids, ids back, every sampler set
// (its defaults change answers). Written against b10434; docs/backends.md says what was seen.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"

namespace minerva::backend {

class LlamaWire final : public EngineWire {
 public:
  std::string_view name() const override { return "llama_cpp"; }
  // Started for vectors it makes no text.
  static Capabilities what_it_can(bool embeds);
  Capabilities capabilities(const WireModel& model) const override {
    return what_it_can(model.embeds);
  }
  Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                        const WireModel& model) const override;
  std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                      const WireModel& model) const override;

  // POST /v1/embeddings; its vectors have length 1.
  Result<UpstreamRequest> embed_call(std::span<const EmbedInput> inputs,
                                     const WireModel& model) const override;

  std::optional<UpstreamRequest> tokenize_call(std::string_view text,
                                               TokenizeOptions options) const override;
  Result<std::vector<TokenId>> read_tokens(std::string_view body) const override;
  std::optional<UpstreamRequest> detokenize_call(std::span<const TokenId> tokens) const override;
  Result<std::string> read_text(std::string_view body) const override;

  // Corrects the context to what each of its slots really has.
  Result<void> inspect(Upstream& upstream, WireModel& model, Duration time_max) const override;
};

}  // namespace minerva::backend
