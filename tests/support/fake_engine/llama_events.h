// The events of llama-server's own /completion, as b10434 writes them.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backend/fake/fake_model.h"
#include "backend/request.h"

namespace minerva::fake_engine {

// Its sampling fields, as far as FakeModel knows them.
backend::SamplingParams llama_sampling(const nlohmann::ordered_json& request);

// A whole character: of its tokens only the last one is named, and all are counted.
nlohmann::ordered_json llama_token(const std::string& content, TokenId last, std::size_t predicted,
                                   std::size_t evaluated);
void add_logprobs(nlohmann::ordered_json& event, const backend::FakeCandidate& chosen,
                  std::vector<backend::FakeCandidate> candidates, std::size_t count);
nlohmann::ordered_json llama_last(const char* stop_type, std::size_t predicted,
                                  std::size_t evaluated);

}  // namespace minerva::fake_engine
