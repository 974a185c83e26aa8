// Counter-based random numbers: the n-th number of a key is a pure function of both, so a draw
// depends on nothing that happened before it. Philox 4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC11).
#pragma once

#include <array>
#include <cstdint>

namespace minerva {

// Four 32-bit words for this counter and key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// A uniform double in [0, 1) with 53 bits, one for each (seed, stream, position).
double uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t position);

// A seed from the operating system, for requests that name none.
std::uint64_t random_seed();

}  // namespace minerva
