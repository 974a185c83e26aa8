// Which experts compute which tokens of a step, and how much of each counts. A token's choice
// depends on its own logits alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model_config.h"
#include "kernels/kernel_table.h"

namespace minerva::engine {

struct Choice {
  std::uint32_t expert = 0;
  float weight = 0;
};

// The chosen.size() experts (at most kExpertsUsedMax and logits.size()) with the largest scores,
// the lower index on a tie, in ascending order of their indexes. A NaN is chosen last, and makes
// the weights NaN. `bias` is added to the scores for the choice alone; empty: none. `logits` and
// `ranks`, which is as long, are overwritten.
void choose_experts(const kernels::KernelTable& kernels, const ExpertsConfig& config,
                    std::span<const float> bias, std::span<float> logits, std::span<float> ranks,
                    std::span<Choice> chosen);

// The pairs of a token and one of its experts, sorted by expert, then by token: each expert's
// matrices are read once for all of its tokens.
class ExpertGroups {
 public:
  struct Group {
    std::size_t expert;
    std::size_t first;  // its pairs are [first, first + count)
    std::size_t count;  // at least 1
  };

  ExpertGroups() = default;
  ExpertGroups(std::size_t experts, std::size_t pairs);

  // `choices` has `used` for each token, of experts below the count given above.
  void assign(std::span<const Choice> choices, std::size_t used);

  std::span<const Group> groups() const { return groups_; }  // ascending experts
  std::size_t pairs() const { return tokens_.size(); }
  std::span<const std::uint32_t> tokens() const { return tokens_; }  // of each pair
  std::span<const float> weights() const { return weights_; }        // of each pair

 private:
  std::vector<Group> groups_;
  std::vector<std::uint32_t> tokens_;
  std::vector<float> weights_;
  std::vector<std::size_t> next_;  // by expert
};

}  // namespace minerva::engine
