// What mlx_lm.server streams, as events: text by the word, the prefill's progress in comments, the
// model's thinking apart from the rest. It gives no token ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/engine_wire.h"
#include "backend/mlx/mlx_prompt.h"
#include "wire/json_guard.h"

namespace minerva::backend {

class MlxReader final : public ChunkReader {
 public:
  struct Expected {
    std::optional<ThinkMarks> marks;
    bool thinking = false;            // the answer begins inside the model's thinking
    std::uint64_t prompt_tokens = 0;  // 0: not compared
  };
  explicit MlxReader(const Expected& expected)
      : expected_(expected), thinking_(expected.thinking) {}

  Result<void> read(const wire::SseEvent& event, std::vector<GenerationEvent>& out) override;
  void read_comment(std::string_view text, std::vector<GenerationEvent>& out) override;
  bool finished() const override { return finished_; }
  Usage usage() const override { return usage_; }

 private:
  Result<void> read_choice(const wire::Json& choice, std::vector<GenerationEvent>& out);
  Result<void> read_usage(const wire::Json& usage);
  void put_text(bool thinking, std::string text, std::string& bytes);

  const Expected expected_;
  bool thinking_;
  bool ended_ = false;     // the choice
  bool finished_ = false;  // the stream
  Usage usage_;
};

}  // namespace minerva::backend
