// Whether a model may be loaded now, and who has to go for it. A pure function of what is loaded
// and what is free.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"

namespace minerva::serve {

// One model that holds memory, or is about to.
struct Resident {
  std::uint32_t id = 0;
  std::string name;
  // What it holds or will hold; of a model that loads, what it is expected to need.
  std::uint64_t bytes = 0;
  std::uint64_t held_bytes = 0;    // of that, taken already
  std::uint64_t mapped_bytes = 0;  // of held_bytes, pages of files: the system counts them as free
  bool busy = false;               // runs or has somebody waiting whose turn it is
  bool pinned = false;
  bool moving = false;   // loads or unloads: it cannot be touched, only waited for
  bool leaving = false;  // moving, and its memory will be free
  TimePoint last_used{};
};

struct RoomLimits {
  std::uint64_t available_bytes = 0;  // what the system says could be had now
  std::uint64_t bytes_max = 0;        // for all models together; 0: no limit of our own
  std::size_t models_max = 0;         // 0: any number
};

struct RoomDecision {
  enum class Kind : std::uint8_t {
    Load,    // there is room
    Evict,   // these must go first
    Wait,    // there will be room when the busy and the moving ones are done
    Refuse,  // not even alone
  };
  Kind kind = Kind::Load;
  std::vector<std::uint32_t> evict;  // least recently used first
  std::string why;                   // with figures, for Wait and Refuse
};

// What a model takes. Where its wish is more than could ever be had, it makes do with less, down to
// `least_bytes`; it then gets all there is.
struct RoomNeed {
  std::uint64_t bytes = 0;
  std::uint64_t least_bytes = bytes;
};

// Of a model that is called `name`. Never evicts what is busy, pinned or moving.
RoomDecision plan_room(std::string_view name, RoomNeed need, std::span<const Resident> residents,
                       const RoomLimits& limits);

}  // namespace minerva::serve
