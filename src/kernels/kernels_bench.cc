// Products and attention per kind and instruction set. Figures: GB/s of packed weights read, and
// multiply-adds a second. Run one with --benchmark_filter=gemm/avx512/Block4Min.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>

#include "kernels/test_matrices.h"

namespace minerva::kernels {
namespace {

struct Shape {
  std::size_t rows, cols, tokens;
};
constexpr Shape kShapes[] = {
    {1536, 576, 1},    // SmolLM2-135M, decode
    {576, 1536, 1},    //
    {8192, 2048, 1},   // a 1B model, decode; with the copies below it streams from memory
    {8192, 2048, 4},   //
    {1536, 576, 512},  // prefill
    {576, 1536, 512},  //
    {2048, 2048, 512},
};

void rates(benchmark::State& state, std::size_t weight_bytes, std::size_t macs) {
  using benchmark::Counter;
  state.counters["weights"] =
      Counter(static_cast<double>(weight_bytes), Counter::kIsIterationInvariantRate);
  state.counters["mac"] = Counter(static_cast<double>(macs), Counter::kIsIterationInvariantRate);
}

std::size_t packed_bytes(const QuantMatrix& m) {
  const KindTraits k = traits(m.kind);
  const std::size_t weights = m.rows_padded * m.cols;
  const std::size_t scale = bytes_of(k.scales) * (k.minimum ? 2U : 1U);
  return (k.wide_codes ? weights : weights / 2) +
         weights / (k.super ? kSuperBlock : kBlock) * scale +
         (k.super ? weights / k.sub * (k.minimum ? 2 : 1) : 0);
}

void gemm(benchmark::State& state, const KernelTable& table, PackedKind kind, Shape shape) {
  std::mt19937 rng(1);
  if (traits(kind).super) shape.cols = shape.cols / kSuperBlock * kSuperBlock;
  // Decode shapes of big models run over enough copies to leave the caches.
  const std::size_t copies =
      shape.rows * shape.cols > (std::size_t{8} << 20) && shape.tokens < 8 ? 12 : 1;
  std::vector<RandomQuantMatrix> w;
  for (std::size_t i = 0; i < copies; ++i) w.emplace_back(kind, shape.rows, shape.cols, rng);
  OwnedActivations x(shape.tokens, shape.cols, traits(kind).super ? kSuperBlock : kBlock);
  const auto values = random_floats(shape.tokens * shape.cols, rng);
  table.quantize(values.data(), shape.cols, 0, shape.tokens, x.view);
  std::vector<float> out(shape.tokens * shape.rows);
  std::size_t copy = 0;
  for (auto _ : state) {
    table.gemm_quant(w[copy].m, x.view, 0, shape.rows / kPanelRows, out.data(), shape.rows);
    benchmark::DoNotOptimize(out.data());
    copy = (copy + 1) % copies;
  }
  rates(state, packed_bytes(w[0].m), shape.rows * shape.cols * shape.tokens);
}

void gemm_float(benchmark::State& state, const KernelTable& table, FloatKind kind, Shape shape) {
  const std::size_t width = kind == FloatKind::F32 ? 4 : 2;
  Plane<std::uint8_t> values(shape.rows * shape.cols * width);
  const FloatMatrix w{kind, shape.rows, shape.rows, shape.cols, values.data()};
  const std::vector<float> x(shape.tokens * shape.cols);
  std::vector<float> out(shape.tokens * shape.rows);
  for (auto _ : state) {
    table.gemm_float(w, x.data(), shape.tokens, shape.cols, 0, shape.rows / kPanelRows, out.data(),
                     shape.rows);
    benchmark::DoNotOptimize(out.data());
  }
  rates(state, shape.rows * shape.cols * width, shape.rows * shape.cols * shape.tokens);
}

void attend(benchmark::State& state, const KernelTable& table, std::size_t heads,
            std::size_t head_dim) {
  std::mt19937 rng(2);
  constexpr std::size_t kPages = kRangePositions / kPagePositions;
  std::vector<std::uint16_t> data(2 * kRangePositions * head_dim);
  for (std::uint16_t& v : data) v = small_half(rng);
  KvPage pages[kPages];
  for (std::size_t i = 0; i < kPages; ++i) {
    pages[i].k = data.data() + 2 * i * kPagePositions * head_dim;
    pages[i].v = pages[i].k + kPagePositions * head_dim;
  }
  const auto q = random_floats(heads * head_dim, rng);
  std::vector<float> max(heads, 0), sum(heads, 1), acc(heads * head_dim);
  AttendArgs args{q.data(), heads, head_dim,   pages,      0,         256,
                  0.1F,     0,     max.data(), sum.data(), acc.data()};
  for (auto _ : state) {
    table.attend(args);
    benchmark::DoNotOptimize(acc.data());
  }
  rates(state, data.size() * 2, 2 * kRangePositions * heads * head_dim);
}

void quantize(benchmark::State& state, const KernelTable& table, std::size_t tokens) {
  std::mt19937 rng(3);
  const auto values = random_floats(tokens * 1536, rng);
  OwnedActivations x(tokens, 1536, kBlock);
  for (auto _ : state) {
    table.quantize(values.data(), 1536, 0, tokens, x.view);
    benchmark::DoNotOptimize(x.q.data());
  }
  rates(state, values.size() * 4, values.size());
}

void silu(benchmark::State& state, const KernelTable& table) {
  std::mt19937 rng(4);
  const auto values = random_floats(1536, rng);
  std::vector<float> out(1536);
  for (auto _ : state) {
    table.silu_mul(values.data(), values.data(), values.size(), out.data());
    benchmark::DoNotOptimize(out.data());
  }
  rates(state, values.size() * 4, values.size());
}

// States of `heads` heads of 128 x 128, one after the other: one is in the cache, many are not.
void delta_rule(benchmark::State& state, const KernelTable& table, std::size_t heads) {
  constexpr std::size_t kDim = 128;
  std::mt19937 rng(5);
  std::vector<float> states = random_floats(heads * kDim * kDim, rng);
  const auto q = random_floats(kDim, rng, 0.1F);
  const auto v = random_floats(kDim, rng);
  std::vector<float> out(kDim);
  std::size_t head = 0;
  for (auto _ : state) {
    table.delta_rule({.state = states.data() + head * kDim * kDim,
                      .key_dim = kDim,
                      .value_dim = kDim,
                      .q = q.data(),
                      .k = q.data(),
                      .v = v.data(),
                      .decay = 0.9F,
                      .beta = 0.5F,
                      .out = out.data()});
    benchmark::DoNotOptimize(out.data());
    head = (head + 1) % heads;
  }
  rates(state, kDim * kDim * sizeof(float), 2 * kDim * kDim);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const KernelTable* table : tables_here()) {
    const auto add = [&](std::string_view what, std::string_view detail, auto&& body) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", what, table->name, detail).c_str(),
                                   std::forward<decltype(body)>(body));
    };
    for (const PackedKind kind : kPackedKinds) {
      for (const Shape shape : kShapes) {
        add("gemm",
            fmt::format("{}/{}x{}/{}", kind_name(kind), shape.rows, shape.cols, shape.tokens),
            [=](benchmark::State& s) { gemm(s, *table, kind, shape); });
      }
    }
    for (const FloatKind kind : {FloatKind::F32, FloatKind::F16, FloatKind::BF16}) {
      const std::string_view name = kind == FloatKind::F32   ? "F32"
                                    : kind == FloatKind::F16 ? "F16"
                                                             : "BF16";
      for (const std::size_t tokens : {1U, 128U}) {
        add("gemm_float", fmt::format("{}/1536x576/{}", name, tokens),
            [=](benchmark::State& s) { gemm_float(s, *table, kind, {1536, 576, tokens}); });
      }
    }
    for (const std::size_t heads : {1U, 3U, 4U}) {
      for (const std::size_t dim : {64U, 256U}) {
        add("attend", fmt::format("{}x{}", heads, dim),
            [=](benchmark::State& s) { attend(s, *table, heads, dim); });
      }
    }
    for (const std::size_t tokens : {1U, 64U}) {
      add("quantize", fmt::to_string(tokens),
          [=](benchmark::State& s) { quantize(s, *table, tokens); });
    }
    for (const std::size_t heads : {1U, 768U}) {
      add("delta_rule", fmt::to_string(heads),
          [=](benchmark::State& s) { delta_rule(s, *table, heads); });
    }
    add("silu", "1536", [=](benchmark::State& s) { silu(s, *table); });
  }
  return true;
}();

}  // namespace
}  // namespace minerva::kernels
