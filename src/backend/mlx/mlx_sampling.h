// Sampling as both servers of MLX take it: fields of their requests, each within what does not end
// the server for everybody. Pure functions.
#pragma once

#include <cstddef>

#include "backend/child/engine_wire.h"
#include "wire/json_guard.h"

namespace minerva::backend {

// So cold that the likeliest token has all the weight.
bool mlx_is_greedy(const SamplingParams& p);
// All but the seed. `vocabulary`: 0 where it is not known, and then top_k is refused.
Result<void> put_mlx_sampling(const WireRequest& ask, std::size_t vocabulary, wire::Json& body);
// Ends of generation are forbidden by a bias where measurements ask for that.
Result<void> put_mlx_bias(const WireRequest& ask, const WireModel& model, wire::Json& body);

}  // namespace minerva::backend
