// How any server with OpenAI's API is spoken to: chat for conversations, completions for raw
// prompts. What such a server would ignore in silence is refused here, unless it has said that it
// is one that knows more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"
#include "backend/remote/remote_options.h"

namespace minerva::backend {

// What a server takes besides OpenAI's fields, told by who owns its models: top_k and the like, and
// of Minerva the window of the repetition penalty, too.
enum class RemoteDialect : std::uint8_t { OpenAi, Vllm, Minerva };

class RemoteWire final : public EngineWire {
 public:
  RemoteWire(std::string name, RemoteMode mode) : name_(std::move(name)), mode_(mode) {}

  std::string_view name() const override { return name_; }
  Capabilities capabilities(const WireModel& model) const override;
  Result<UpstreamRequest> generate_call(const WireRequest& ask,
                                        const WireModel& model) const override;
  std::unique_ptr<ChunkReader> reader(const WireRequest& ask,
                                      const WireModel& model) const override;
  Result<UpstreamRequest> embed_call(std::span<const EmbedInput> inputs,
                                     const WireModel& model) const override;
  // The one path that every such server has.
  std::string_view health_path() const override { return "/models"; }
  EngineHealth read_health(const UpstreamEnd& end) const override;
  std::optional<Error> load_failure(const UpstreamEnd& end) const override;

 private:
  const std::string name_;
  const RemoteMode mode_;
  mutable std::atomic<RemoteDialect> dialect_ = RemoteDialect::OpenAi;
};

// The ids in an answer to GET /models: at most 10,000, each of printable characters.
struct RemoteModels {
  std::vector<std::string> ids;
  std::string owner;  // of the first
};
Result<RemoteModels> parse_remote_models(std::string_view body);

}  // namespace minerva::backend
