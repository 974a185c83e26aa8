#include "kernels/kernel_table.h"

#include "kernels/isa_tables.h"

namespace minerva::kernels {
namespace {

// __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the registers.
bool runs_here(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::Scalar:
      return true;
    case Isa::Avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
    case Isa::Avx512:
      return runs_here(Isa::Avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  return isa == Isa::Scalar;
#endif
}

}  // namespace

const KernelTable* find_kernels(Isa isa) {
  if (!runs_here(isa)) return nullptr;
  switch (isa) {
#if defined(__x86_64__)
    case Isa::Avx512:
      return &avx512::kTable;
    case Isa::Avx2:
      return &avx2::kTable;
#endif
    default:
      return &scalar::kTable;
  }
}

const KernelTable& best_kernels() {
  for (const Isa isa : {Isa::Avx512, Isa::Avx2}) {
    if (const KernelTable* table = find_kernels(isa)) return *table;
  }
  return scalar::kTable;
}

bool parse_isa(std::string_view text, Isa& out) {
  if (text == "scalar") {
    out = Isa::Scalar;
  } else if (text == "avx2") {
    out = Isa::Avx2;
  } else if (text == "avx512") {
    out = Isa::Avx512;
  } else {
    return false;
  }
  return true;
}

}  // namespace minerva::kernels
