#include "backend/mlx/mlx_sampling.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

namespace minerva::backend {
namespace {

using wire::Json;

constexpr float kBiasMax = 1e9F;          // past any logit, and finite in every type of weight
constexpr float kTemperatureMin = 1e-4F;  // below it the likeliest token has all the weight
constexpr float kTopPMin = 1e-6F;         // mlx_lm takes 0 for "off"
constexpr std::uint32_t kWindowMax = 1U << 30U;

std::unexpected<Error> unable(std::string_view field, std::string_view why) {
  return fail(ErrorCode::Unsupported, fmt::format("mlx cannot keep {}: {}", field, why),
              std::string(field));
}

// The field's value where it lies within what mlx_lm takes; else it answers 400, or dies.
Result<double> within(std::string_view field, float value, float min, float max) {
  if (value >= min && value <= max) return static_cast<double>(value);
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{} is {}; mlx takes {} to {}", field, value, min, max),
              std::string(field));
}

Result<void> put_penalties(const SamplingParams& p, std::uint64_t max_tokens, Json& body) {
  const auto window = [](std::uint64_t tokens) {
    return std::min<std::uint64_t>(tokens, kWindowMax);
  };
  if (p.repetition_penalty != 1.0F) {
    MINERVA_ASSIGN(body["repetition_penalty"],
                   within("repetition_penalty", p.repetition_penalty, 1e-3F, 1e3F));
    body["repetition_context_size"] =
        p.repetition_window == 0 ? kWindowMax : window(p.repetition_window);
  }
  // Its windows are of the last tokens, not of the output: this one holds all of the output.
  if (p.presence_penalty != 0.0F) {
    MINERVA_ASSIGN(body["presence_penalty"],
                   within("presence_penalty", p.presence_penalty, -100, 100));
    body["presence_context_size"] = window(max_tokens);
  }
  if (p.frequency_penalty != 0.0F) {
    MINERVA_ASSIGN(body["frequency_penalty"],
                   within("frequency_penalty", p.frequency_penalty, -100, 100));
    body["frequency_context_size"] = window(max_tokens);
  }
  return {};
}

}  // namespace

bool mlx_is_greedy(const SamplingParams& p) { return p.temperature < kTemperatureMin; }

Result<void> put_mlx_sampling(const WireRequest& ask, std::size_t vocabulary, Json& body) {
  const SamplingParams& p = ask.request.sampling;
  MINERVA_ASSIGN(const double temperature, within("temperature", p.temperature, 0, 1e3F));
  const bool greedy = mlx_is_greedy(p);
  // Always there: the server has defaults of its own.
  body["temperature"] = greedy ? 0.0 : temperature;
  MINERVA_TRY(put_penalties(p, ask.max_tokens, body));
  if (greedy) return {};
  if (p.typical_p != 1.0F) return unable("typical_p", "it has no such sampling");
  MINERVA_ASSIGN(const double top_p, within("top_p", p.top_p, 0, 1));
  body["top_p"] = std::max(top_p, static_cast<double>(kTopPMin));
  MINERVA_ASSIGN(body["min_p"], within("min_p", p.min_p, 0, 1));
  // As many as the vocabulary is the same as none; mlx_lm would die of it.
  if (p.top_k > 0) {
    if (vocabulary == 0) return unable("top_k", "the size of the vocabulary is not known");
    if (static_cast<std::size_t>(p.top_k) < vocabulary) body["top_k"] = p.top_k;
  }
  return {};
}

Result<void> put_mlx_bias(const WireRequest& ask, const WireModel& model, Json& body) {
  Json bias = Json::object();
  const auto put = [&](TokenId id, float value) -> Result<void> {
    if (id < 0 || static_cast<std::size_t>(id) >= model.vocab_size()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("logit_bias names token {}; the vocabulary has {} tokens", id,
                              model.vocab_size()),
                  "logit_bias");
    }
    const float finite = std::isnan(value) ? 0.0F : std::clamp(value, -kBiasMax, kBiasMax);
    bias[std::to_string(id)] = static_cast<double>(finite);
    return {};
  };
  for (const auto& [id, value] : ask.request.sampling.logit_bias) MINERVA_TRY(put(id, value));
  if (ask.request.ignore_end_of_generation) {
    if (model.tokenizer == nullptr) {
      return unable("ignore_eos", "which tokens end an answer is not known");
    }
    for (const TokenId id : model.tokenizer->end_of_generation()) MINERVA_TRY(put(id, -kBiasMax));
  }
  if (!bias.empty()) body["logit_bias"] = std::move(bias);
  return {};
}

}  // namespace minerva::backend
