#include <fmt/format.h>

#include "backend/native/benchmark.h"
#include "cli/compute.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "wire/json_guard.h"

namespace minerva::cli {

Result<void> bench_model(const Context& context, const BenchVerbOptions& options) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  MINERVA_ASSIGN(const Compute compute, make_compute(context.settings()));
  backend::BenchOptions bench;
  bench.sequences = static_cast<std::size_t>(options.sequences);
  if (is_terminal(kStderr)) tell("measuring …");
  const auto measured = backend::benchmark(entry.path, bench, *compute.pool, *compute.kernels);
  if (is_terminal(kStderr)) tell("\r\x1b[K");
  if (!measured) return fail(measured.error());
  const backend::BenchReport& report = *measured;
  if (options.json) {
    wire::Json out;
    out["model"] = entry.name;
    out["prefill_512_tokens_per_s"] = report.prefill_tokens_per_s;
    out["decode_tokens_per_s"] = report.decode_tokens_per_s;
    out["sequences"] = report.sequences;
    out["load_s"] = report.load_s;
    out["threads"] = report.threads;
    out["isa"] = compute.kernels->name;
    out["weight_bytes"] = report.weight_bytes;
    return write_out(wire::dump_json(out) + "\n");
  }
  return write_out(
      fmt::format("{}: {} weights, {} threads, {}\n"
                  "  load     {:8.2f} s\n"
                  "  prefill  {:8.1f} tokens/s  (a prompt of {})\n"
                  "  decode   {:8.1f} tokens/s  ({} sequence{})\n",
                  entry.name, size_text(report.weight_bytes), report.threads, compute.kernels->name,
                  report.load_s, report.prefill_tokens_per_s, report.prompt_tokens,
                  report.decode_tokens_per_s, report.sequences, report.sequences == 1 ? "" : "s"));
}

}  // namespace minerva::cli
