#include "cli/compute.h"

#include <fmt/format.h>

#include "base/system.h"

namespace minerva::cli {

std::vector<std::string_view> possible_isas() {
  std::vector<std::string_view> names;
  for (const auto isa : {kernels::Isa::Scalar, kernels::Isa::Avx2, kernels::Isa::Avx512}) {
    if (const auto* table = kernels::find_kernels(isa)) names.push_back(table->name);
  }
  return names;
}

Result<const kernels::KernelTable*> choose_kernels(std::string_view isa) {
  if (isa == "auto") return &kernels::best_kernels();
  kernels::Isa wanted{};
  const kernels::KernelTable* table =
      kernels::parse_isa(isa, wanted) ? kernels::find_kernels(wanted) : nullptr;
  if (table != nullptr) return table;
  return fail(
      ErrorCode::InvalidArgument,
      fmt::format("the instruction set {} was asked for (MINERVA_ISA, isa, --isa), but this "
                  "processor runs only {}",
                  isa, fmt::join(possible_isas(), ", ")),
      "isa");
}

unsigned thread_count(const Settings& settings) {
  return settings.threads == 0 ? available_cpus() : static_cast<unsigned>(settings.threads);
}

Result<Compute> make_compute(const Settings& settings) {
  Compute compute;
  MINERVA_ASSIGN(compute.kernels, choose_kernels(settings.isa));
  compute.pool = std::make_unique<engine::ComputePool>(thread_count(settings));
  if (settings.numerics == "f32") compute.numerics = engine::Numerics::F32;
  return compute;
}

}  // namespace minerva::cli
