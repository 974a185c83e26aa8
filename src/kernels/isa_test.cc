// That a forced instruction set is the one that runs, and that nothing but its table leaves its
// folder. Both are read from what the compiler and the linker made, with nm.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return out;
}

TEST(Isa, NamesRoundTrip) {
  for (const KernelTable* table : tables_here()) {
    Isa isa{};
    ASSERT_TRUE(parse_isa(table->name, isa));
    EXPECT_EQ(isa, table->isa);
    EXPECT_EQ(find_kernels(isa), table);
  }
  Isa isa{};
  EXPECT_FALSE(parse_isa("avx", isa));
  EXPECT_FALSE(parse_isa("", isa));
  EXPECT_FALSE(parse_isa("AVX2", isa));
}

TEST(Isa, TheBestIsTheLastOfThoseThatRunHere) {
  EXPECT_EQ(&best_kernels(), tables_here().back());
#if defined(__x86_64__)
  if (find_kernels(Isa::Avx512) == nullptr) {
    printf("NOT RUN: avx512 kernels (this processor has no AVX-512 VNNI)\n");
  }
  if (find_kernels(Isa::Avx2) == nullptr) {
    printf("NOT RUN: avx2 kernels (this processor has no AVX2)\n");
  }
#endif
}

// A symbol that an AVX-512 file shares with another one (an inline function, a template) is weak,
// and the linker keeps one copy: perhaps the one that other processors cannot run.
TEST(Isa, ObjectsHaveNoWeakSymbols) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  printf("NOT RUN: weak symbols (sanitizers and -O0 add their own; the release build checks)\n");
#else
  std::istringstream lines(output_of(MINERVA_NM " " MINERVA_KERNELS_LIBRARY));
  std::size_t symbols = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 19 || line[18] != ' ') continue;
    ++symbols;
    // g++ refers to the exception personality through a datum of this name: no code.
    if (line.find(" DW.ref.") != std::string::npos) continue;
    EXPECT_EQ(std::string("WVu").find(line[17]), std::string::npos) << line;
  }
  EXPECT_GT(symbols, 100U);
#endif
}

// Where this program was loaded.
std::uintptr_t load_address() {
  Dl_info info{};
  EXPECT_NE(dladdr(reinterpret_cast<const void*>(&load_address), &info), 0);
  return reinterpret_cast<std::uintptr_t>(info.dli_fbase);
}

// The symbol at a function's address names the folder that it was compiled in.
TEST(Isa, EveryFunctionOfATableIsOfItsFolder) {
  std::map<std::uintptr_t, std::string> symbols;
  std::istringstream lines(output_of(MINERVA_NM " -C /proc/" + std::to_string(getpid()) + "/exe"));
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > 19 && line[0] != ' ') {
      std::string& name = symbols[std::stoull(line.substr(0, 16), nullptr, 16)];
      name += line.substr(19) + "\n";
    }
  }
  ASSERT_FALSE(symbols.empty());
  const std::uintptr_t base = symbols.begin()->first < load_address() ? load_address() : 0;
  for (const KernelTable* table : tables_here()) {
    const auto expect_here = [&](auto* function, const char* what) {
      const auto at = symbols.find(reinterpret_cast<std::uintptr_t>(function) - base);
      ASSERT_NE(at, symbols.end()) << what;
      EXPECT_NE(at->second.find("kernels::" + std::string(table->name) + "::"), std::string::npos)
          << table->name << "." << what << " is " << at->second;
    };
    expect_here(table->gemm_quant, "gemm_quant");
    expect_here(table->gemm_float, "gemm_float");
    expect_here(table->quantize, "quantize");
    expect_here(table->rms_norm, "rms_norm");
    expect_here(table->add, "add");
    expect_here(table->scale, "scale");
    expect_here(table->silu_mul, "silu_mul");
    expect_here(table->gelu_tanh_mul, "gelu_tanh_mul");
    expect_here(table->xielu, "xielu");
    expect_here(table->rope, "rope");
    expect_here(table->store_kv, "store_kv");
    expect_here(table->attend, "attend");
    expect_here(table->divide, "divide");
    expect_here(table->argmax, "argmax");
    expect_here(table->exp_sum, "exp_sum");
    expect_here(table->softcap, "softcap");
  }
}

}  // namespace
}  // namespace minerva::kernels
