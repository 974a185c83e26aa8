// A token's number in its model's vocabulary. Negative numbers are never tokens.
#pragma once

#include <cstdint>

namespace minerva {
using TokenId = std::int32_t;
}
