#include "serve/residency.h"

#include <fmt/core.h>

#include <algorithm>

namespace minerva::serve {
namespace {

std::uint64_t minus(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

std::string mib(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

struct Room {
  std::uint64_t bytes = 0;
  std::size_t places = 0;
};

// What is free once the residents in `gone` have left.
Room room_without(std::span<const Resident> residents, const RoomLimits& limits,
                  std::span<const std::uint32_t> gone) {
  std::uint64_t system = limits.available_bytes;
  std::uint64_t ours = 0;
  std::size_t places_used = 0;
  for (const Resident& resident : residents) {
    const bool leaves = std::ranges::find(gone, resident.id) != gone.end();
    if (leaves) {
      // How much a load has taken by now is not known. If it was less, that shows when it is over;
      // too little here would refuse for good what only has to wait.
      const std::uint64_t back =
          resident.moving ? std::max(resident.bytes, resident.held_bytes) : resident.held_bytes;
      // Its mapped pages count as available already.
      system += minus(back, resident.mapped_bytes);
      continue;
    }
    // Pages that are in use are not free, whatever the system says; nor is what a load will take.
    system = minus(system, resident.mapped_bytes);
    system = minus(system, minus(resident.bytes, resident.held_bytes));
    ours += std::max(resident.bytes, resident.held_bytes);
    ++places_used;
  }
  Room room{system, SIZE_MAX};
  if (limits.bytes_max != 0) room.bytes = std::min(room.bytes, minus(limits.bytes_max, ours));
  if (limits.models_max != 0) room.places = minus(limits.models_max, places_used);
  return room;
}

}  // namespace

RoomDecision plan_room(std::string_view name, RoomNeed need, std::span<const Resident> residents,
                       const RoomLimits& limits) {
  std::vector<std::uint32_t> everybody;  // who will or could go in the end
  for (const Resident& resident : residents) {
    if (!resident.pinned || resident.leaving) everybody.push_back(resident.id);
  }
  const Room alone = room_without(residents, limits, everybody);
  const std::uint64_t need_bytes =
      std::min(need.bytes, std::max(alone.bytes, std::min(need.least_bytes, need.bytes)));
  const auto fits = [&](std::span<const std::uint32_t> gone) {
    const Room room = room_without(residents, limits, gone);
    return room.bytes >= need_bytes && room.places >= 1;
  };
  RoomDecision decision;
  if (fits({})) return decision;

  std::vector<const Resident*> idle;
  bool leaving = false;
  for (const Resident& resident : residents) {
    leaving = leaving || resident.leaving;
    if (!resident.busy && !resident.pinned && !resident.moving) idle.push_back(&resident);
  }
  std::ranges::sort(idle, {}, &Resident::last_used);
  std::vector<std::uint32_t> gone;
  for (const Resident& resident : residents) {
    if (resident.leaving) gone.push_back(resident.id);
  }
  // What already leaves may be enough.
  if (leaving && fits(gone)) {
    decision.kind = RoomDecision::Kind::Wait;
    decision.why = fmt::format("model '{}' waits until another one has left memory", name);
    return decision;
  }
  for (const Resident* victim : idle) {
    gone.push_back(victim->id);
    decision.evict.push_back(victim->id);
    if (!fits(gone)) continue;
    decision.kind = RoomDecision::Kind::Evict;
    return decision;
  }
  decision.evict.clear();
  const Room now = room_without(residents, limits, {});
  if (alone.bytes >= need_bytes && alone.places >= 1) {
    decision.kind = RoomDecision::Kind::Wait;
    decision.why = now.places == 0
                       ? fmt::format(
                             "model '{}' waits: {} models are loaded, which is the most, "
                             "and all are busy",
                             name, limits.models_max)
                       : fmt::format(
                             "model '{}' needs {} and {} are free; it waits until busy "
                             "models have ended their answers",
                             name, mib(need_bytes), mib(now.bytes));
    return decision;
  }
  decision.kind = RoomDecision::Kind::Refuse;
  std::string holders;
  for (const Resident& resident : residents) {
    if (!resident.pinned) continue;
    holders += fmt::format("{}{} ({})", holders.empty() ? "; pinned: " : ", ", resident.name,
                           mib(std::max(resident.bytes, resident.held_bytes)));
  }
  decision.why = fmt::format(
      "model '{}' needs {} of memory, and at most {} can be had{}{}: use a smaller model or a "
      "shorter context, or free memory",
      name, mib(need_bytes), mib(alone.bytes),
      limits.bytes_max != 0 ? fmt::format(" (memory_max is {})", mib(limits.bytes_max)) : "",
      holders);
  return decision;
}

}  // namespace minerva::serve
