// What computes: threads, kernels and the way of computing, as the settings say.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/settings.h"
#include "engine/compute_pool.h"
#include "engine/model.h"
#include "kernels/kernel_table.h"

namespace minerva::cli {

struct Compute {
  std::unique_ptr<engine::ComputePool> pool;
  const kernels::KernelTable* kernels = nullptr;
  engine::Numerics numerics = engine::Numerics::Exact;
};

// InvalidArgument for an instruction set that this processor lacks; says which ones it has.
Result<Compute> make_compute(const Settings& settings);

Result<const kernels::KernelTable*> choose_kernels(std::string_view isa);
// Slowest first.
std::vector<std::string_view> possible_isas();
unsigned thread_count(const Settings& settings);

}  // namespace minerva::cli
