#include "text/token_map.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace minerva::text {
namespace {

// Multiply and fold, 8 bytes at a time. Only speed and spread matter: a model file that makes its
// tokens collide slows down nobody but itself.
std::uint64_t hash_of(std::string_view text) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  std::uint64_t hash = text.size() * kOdd;
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32;
  };
  const char* at = text.data();
  std::size_t left = text.size();
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  std::uint64_t tail = 0;
  for (std::size_t i = 0; i < left; ++i) {
    tail |= std::uint64_t{static_cast<std::uint8_t>(at[i])} << (8 * i);
  }
  mix(tail);
  return hash;
}

std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

TokenMap::TokenMap(std::shared_ptr<const PieceList> texts, std::size_t count)
    : texts_(std::move(texts)), slots_(std::bit_ceil(2 * std::max<std::size_t>(count, 1))) {}

void TokenMap::add(TokenId id) {
  const std::string_view text = (*texts_)[static_cast<std::size_t>(id)];
  if (text.empty() || find(text) != kNoToken) return;
  longest_ = std::max(longest_, text.size());
  const std::uint64_t hash = hash_of(text);
  std::size_t at = first_slot(hash);
  for (std::size_t probes = 0; slots_[at].id != kNoToken; ++probes) {
    MINERVA_CHECK(probes < slots_.size());
    at = (at + 1) & (slots_.size() - 1);
  }
  slots_[at] = {tag_of(hash), id};
}

TokenId TokenMap::find(std::string_view text) const {
  if (text.empty() || text.size() > longest_) return kNoToken;
  const std::uint64_t hash = hash_of(text);
  for (std::size_t at = first_slot(hash);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot slot = slots_[at];
    if (slot.id == kNoToken) return kNoToken;
    if (slot.tag == tag_of(hash) && (*texts_)[static_cast<std::size_t>(slot.id)] == text) {
      return slot.id;
    }
  }
}

}  // namespace minerva::text
