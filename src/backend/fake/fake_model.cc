#include "backend/fake/fake_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/rng.h"
#include "base/utf8.h"

namespace minerva::backend {
namespace {

// A prime count, so that any stride visits every character.
constexpr std::array<std::string_view, 37> kAlphabet = {
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q",  "r", "s",
    "t", "u", "v", "w", "x", "y", "z", " ", ".", ",", "!", "?", "-", "'", ":", "é", "漢", "😀"};
constexpr std::size_t kCandidates = 8;

// FNV-1a over the ids, then the finisher of MurmurHash3: FNV's low bits alone are too regular.
std::uint64_t hash_prefix(std::span<const TokenId> prefix) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const TokenId id : prefix) {
    hash ^= static_cast<std::uint64_t>(static_cast<std::uint32_t>(id));
    hash *= 0x100000001b3ULL;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ULL;
  return hash ^ (hash >> 33);
}

TokenId byte_token(char byte) { return static_cast<TokenId>(static_cast<unsigned char>(byte)); }

// The byte that must follow, when the prefix ends inside one of our characters.
std::optional<TokenId> forced_byte(std::span<const TokenId> prefix) {
  const std::size_t looked_at = std::min<std::size_t>(prefix.size(), 3);
  const std::string tail = FakeModel::decode(prefix.last(looked_at));
  const std::size_t open = utf8_incomplete_suffix(tail);
  if (open == 0) return std::nullopt;
  const std::string_view begun = std::string_view(tail).substr(tail.size() - open);
  for (const std::string_view character : kAlphabet) {
    if (character.size() > begun.size() && character.starts_with(begun)) {
      return byte_token(character[begun.size()]);
    }
  }
  return std::nullopt;
}

}  // namespace

FakeModel::FakeModel(std::uint32_t end_one_in, std::string script)
    : end_one_in_(end_one_in), script_(std::move(script)) {}

std::vector<FakeCandidate> FakeModel::candidates(std::span<const TokenId> prefix,
                                                 std::size_t generated, bool ignore_end) const {
  if (!script_.empty()) {
    if (generated < script_.size()) return {{byte_token(script_[generated]), 0.0F}};
    if (!ignore_end) return {{kEnd, 0.0F}};
  }
  if (const auto forced = forced_byte(prefix)) return {{*forced, 0.0F}};

  const std::uint64_t hash = hash_prefix(prefix);
  const std::size_t first = hash % kAlphabet.size();
  const std::size_t stride = 1 + (hash >> 16) % (kAlphabet.size() - 1);
  const bool ends = end_one_in_ != 0 && (hash >> 32) % end_one_in_ == 0 && !ignore_end;
  std::vector<FakeCandidate> out;
  for (std::size_t k = 0; k < kCandidates; ++k) {
    // 1/2, 1/4, … and the last one twice, so that they sum to one.
    const auto halvings = static_cast<float>(std::min(k + 1, kCandidates - 1));
    const TokenId id =
        k == 0 && ends ? kEnd : byte_token(kAlphabet[(first + k * stride) % kAlphabet.size()][0]);
    out.push_back({id, -halvings * std::log(2.0F)});
  }
  return out;
}

FakeCandidate FakeModel::choose(std::vector<FakeCandidate> candidates,
                                const SamplingParams& sampling, std::uint64_t seed,
                                std::uint32_t choice, std::uint64_t position) {
  struct Weighed {
    FakeCandidate candidate;
    double score;
  };
  std::vector<Weighed> weighed;
  for (const FakeCandidate& candidate : candidates)
    weighed.push_back({candidate, candidate.logprob});
  for (const auto& [id, bias] : sampling.logit_bias) {
    const auto at = std::ranges::find_if(
        weighed, [id = id](const Weighed& entry) { return entry.candidate.id == id; });
    // A token that is no candidate stands far below them all, but can be lifted.
    if (at == weighed.end()) {
      weighed.push_back({{id, -50.0F}, -50.0 + static_cast<double>(bias)});
    } else {
      at->score += static_cast<double>(bias);
    }
  }
  std::ranges::sort(weighed, [](const Weighed& a, const Weighed& b) {
    return a.score != b.score ? a.score > b.score : a.candidate.id < b.candidate.id;
  });
  if (sampling.temperature <= 0.0F) return weighed.front().candidate;

  if (sampling.top_k > 0 && weighed.size() > static_cast<std::size_t>(sampling.top_k)) {
    weighed.resize(static_cast<std::size_t>(sampling.top_k));
  }
  const double best = weighed.front().score;
  double total = 0;
  for (Weighed& entry : weighed) {
    entry.score = std::exp((entry.score - best) / static_cast<double>(sampling.temperature));
    total += entry.score;
  }
  double left = uniform(seed, choice, position) * total;
  for (const Weighed& entry : weighed) {
    left -= entry.score;
    if (left < 0) return entry.candidate;
  }
  return weighed.back().candidate;
}

std::vector<TokenId> FakeModel::greedy(std::span<const TokenId> prompt, std::size_t max_tokens,
                                       bool ignore_end) const {
  std::vector<TokenId> prefix(prompt.begin(), prompt.end());
  while (prefix.size() < prompt.size() + max_tokens) {
    const TokenId next = candidates(prefix, prefix.size() - prompt.size(), ignore_end).front().id;
    if (next == kEnd) break;
    prefix.push_back(next);
  }
  return {prefix.begin() + static_cast<std::ptrdiff_t>(prompt.size()), prefix.end()};
}

std::vector<float> FakeModel::embedding(std::span<const TokenId> tokens) {
  std::vector<float> values(kWidth);
  double squares = 0;
  for (std::size_t d = 0; d < kWidth; ++d) {
    std::uint64_t hash = d + 1;
    for (const TokenId id : tokens) hash = (hash * 31 + static_cast<std::uint64_t>(id)) % 1009;
    values[d] = static_cast<float>(hash + 1);
    squares += static_cast<double>(values[d]) * static_cast<double>(values[d]);
  }
  for (float& value : values) {
    value = static_cast<float>(static_cast<double>(value) * 5 / std::sqrt(squares));
  }
  return values;
}

std::string FakeModel::bytes(TokenId id) {
  return id >= 0 && id < kBeginning ? std::string(1, static_cast<char>(id)) : std::string();
}

std::vector<TokenId> FakeModel::encode(std::string_view text) {
  std::vector<TokenId> ids;
  ids.reserve(text.size());
  for (const char byte : text) ids.push_back(byte_token(byte));
  return ids;
}

std::string FakeModel::decode(std::span<const TokenId> ids) {
  std::string text;
  for (const TokenId id : ids) text += bytes(id);
  return text;
}

}  // namespace minerva::backend
