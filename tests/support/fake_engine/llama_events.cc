#include "support/fake_engine/llama_events.h"

#include <algorithm>
#include <utility>

namespace minerva::fake_engine {

using Json = nlohmann::ordered_json;

backend::SamplingParams llama_sampling(const Json& request) {
  backend::SamplingParams sampling;
  sampling.temperature = request.value("temperature", 0.8F);
  sampling.top_k = request.value("top_k", 40);
  for (const Json& pair : request.value("logit_bias", Json::array())) {
    sampling.logit_bias.emplace_back(pair.at(0).get<TokenId>(), pair.at(1).get<float>());
  }
  return sampling;
}

Json llama_token(const std::string& content, TokenId last, std::size_t predicted,
                 std::size_t evaluated) {
  return {{"index", 0},
          {"content", content},
          {"tokens", {last}},
          {"stop", false},
          {"id_slot", -1},
          {"tokens_predicted", predicted},
          {"tokens_evaluated", evaluated}};
}

void add_logprobs(Json& event, const backend::FakeCandidate& chosen,
                  std::vector<backend::FakeCandidate> candidates, std::size_t count) {
  const auto entry = [](const backend::FakeCandidate& candidate) {
    return Json{{"id", candidate.id}, {"token", ""}, {"logprob", candidate.logprob}};
  };
  Json first = entry(chosen);
  first["top_logprobs"] = Json::array();
  candidates.resize(std::min(candidates.size(), count));
  for (const auto& candidate : candidates) first["top_logprobs"].push_back(entry(candidate));
  event["completion_probabilities"] = Json::array({std::move(first)});
}

Json llama_last(const char* stop_type, std::size_t predicted, std::size_t evaluated) {
  return {{"index", 0},
          {"stop", true},
          {"stop_type", stop_type},
          {"tokens_predicted", predicted},
          {"tokens_evaluated", evaluated},
          {"timings/cache_n", 0}};
}

}  // namespace minerva::fake_engine
