// What mlx_lm.server does otherwise than most in its streams of chunks: the prefill's progress in
// comments, the model's thinking taken out of its text whatever was asked for. It gives no token
// ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/child/openai_reader.h"
#include "backend/mlx/mlx_prompt.h"

namespace minerva::backend {

class MlxReader final : public OpenAiReader {
 public:
  struct Expected {
    std::optional<ThinkMarks> marks;
    bool thinking = false;            // the answer begins inside the model's thinking
    std::uint64_t prompt_tokens = 0;  // 0: not compared
  };
  explicit MlxReader(const Expected& expected)
      : OpenAiReader("mlx", "mlx_lm.server"), expected_(expected), thinking_(expected.thinking) {}

  void read_comment(std::string_view text, std::vector<GenerationEvent>& out) override;

 private:
  std::string join(Words words) override;
  Result<void> check_usage(const Usage& usage) const override;
  void put_text(bool thinking, const std::string& text, std::string& bytes);

  const Expected expected_;
  bool thinking_;
};

}  // namespace minerva::backend
