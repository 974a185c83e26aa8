// The time as a chat template sees it. Plain functions; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

struct MinervaLocalTime;

namespace minerva::chat {

std::int64_t machine_epoch_seconds();

// In the machine's time zone, as Python's datetime.fromtimestamp.
Result<MinervaLocalTime> local_time(std::int64_t epoch_seconds);

// "2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00.25"; a zone after it is accepted and
// ignored: the digits are what the template will see.
Result<MinervaLocalTime> parse_local_time(std::string_view text);

}  // namespace minerva::chat
