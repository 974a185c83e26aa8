#include "backend/remote/replicas.h"

#include <algorithm>
#include <utility>

namespace minerva::backend {
namespace {

constexpr std::size_t kPrefixBytes = 1024;

// FNV-1a: the same on every run and machine, which std::hash does not promise.
std::uint64_t hash(std::string_view bytes, std::uint64_t state = 14695981039346656037ULL) {
  for (const char c : bytes) {
    state ^= static_cast<unsigned char>(c);
    state *= 1099511628211ULL;
  }
  return state;
}

// Spreads what differs in few bits (Steele, Lea, Flood: SplitMix64).
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

}  // namespace

Replicas::Replicas(std::vector<std::string> names, BreakerOptions breaker) {
  for (std::string& name : names) {
    replicas_.push_back({std::move(name), Breaker(breaker), {}, 0, false});
  }
}

bool Replicas::allowed(const Replica& replica, TimePoint now) const {
  return replica.breaker.allows(now) && now >= replica.not_before;
}

// Highest score wins (rendezvous hashing): when a server goes, only its prompts move.
std::optional<std::size_t> Replicas::choose(std::uint64_t prompt, const std::vector<bool>& tried,
                                            TimePoint now) const {
  std::optional<std::size_t> own;
  std::optional<std::size_t> idlest;
  std::uint64_t best = 0;
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    const Replica& replica = replicas_[i];
    if (tried[i] || !replica.connected || !allowed(replica, now)) continue;
    const std::uint64_t score = mixed(hash(replica.name) ^ prompt);
    if (!own || score > best) {
      own = i;
      best = score;
    }
    if (!idlest || replica.running < replicas_[*idlest].running) idlest = i;
  }
  if (own && replicas_[*own].running > replicas_[*idlest].running + kBusierMax) return idlest;
  return own;
}

void Replicas::begun(std::size_t index, TimePoint now) {
  ++replicas_[index].running;
  replicas_[index].breaker.attempt(now);
}

void Replicas::succeeded(std::size_t index) {
  --replicas_[index].running;
  replicas_[index].breaker.success();
}

void Replicas::failed(std::size_t index, TimePoint now) {
  --replicas_[index].running;
  replicas_[index].breaker.failure(now);
}

void Replicas::asked_to_wait(std::size_t index, TimePoint until) {
  --replicas_[index].running;
  replicas_[index].breaker.abandon();
  replicas_[index].not_before = std::max(replicas_[index].not_before, until);
}

void Replicas::abandoned(std::size_t index) {
  --replicas_[index].running;
  replicas_[index].breaker.abandon();
}

void Replicas::connected(std::size_t index, bool is) { replicas_[index].connected = is; }

std::optional<std::size_t> Replicas::to_connect(TimePoint now) const {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!replicas_[i].connected && allowed(replicas_[i], now)) return i;
  }
  return std::nullopt;
}

bool Replicas::any_allowed(TimePoint now) const {
  return std::ranges::any_of(
      replicas_, [&](const Replica& one) { return one.connected && allowed(one, now); });
}

Duration Replicas::wait(TimePoint now) const {
  std::optional<Duration> least;
  for (const Replica& replica : replicas_) {
    const Duration wait = std::max(replica.breaker.wait(now), replica.not_before - now);
    if (!least || wait < *least) least = wait;
  }
  return std::max(least.value_or(Duration::zero()), Duration::zero());
}

std::uint64_t prompt_hash(const GenerateRequest& request) {
  std::uint64_t state = hash("");
  std::size_t left = kPrefixBytes;
  for (const PromptItem& item : request.prompt) {
    std::string_view bytes;
    if (const auto* text = std::get_if<std::string>(&item)) bytes = *text;
    if (const auto* chat = std::get_if<ChatPrompt>(&item)) bytes = chat->messages_json;
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) {
      bytes = {reinterpret_cast<const char*>(ids->data()), ids->size() * sizeof(TokenId)};
    }
    bytes = bytes.substr(0, left);
    state = hash(bytes, state);
    left -= bytes.size();
  }
  return state;
}

}  // namespace minerva::backend
