#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "backend/native/benchmark.h"
#include "base/log.h"
#include "cli/compute.h"
#include "cli/engine_probes.h"
#include "cli/engine_speed.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/folder_model.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

constexpr auto kProbeTime = std::chrono::seconds(10);

// One engine's row: what was measured, or why nothing was.
struct Row {
  std::string engine;
  Result<EngineBenchReport> report;
};

// Which of the engines a list asks for: all, or names parted by commas.
Result<std::vector<bool>> wanted_of(
    const std::string& list, const std::vector<std::shared_ptr<backend::EngineKind>>& kinds) {
  std::vector<bool> wanted(kinds.size(), list == "all");
  std::string_view rest = list == "all" ? std::string_view() : list;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view name = rest.substr(0, comma);
    const auto at = std::ranges::find(kinds, name, [](const auto& kind) { return kind->name(); });
    if (at == kinds.end()) {
      std::vector<std::string> names;
      for (const auto& kind : kinds) names.emplace_back(kind->name());
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("--backends takes all or some of {}, not \"{}\"",
                              fmt::join(names, ", "), escape_controls(name)),
                  "--backends");
    }
    wanted[static_cast<std::size_t>(at - kinds.begin())] = true;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return wanted;
}

wire::Json rows_json(const std::vector<Row>& rows) {
  wire::Json out = wire::Json::array();
  for (const Row& row : rows) {
    wire::Json each = {{"backend", row.engine}};
    if (row.report) {
      each["prompt_tokens"] = row.report->prompt_tokens;
      each["new_tokens"] = row.report->new_tokens;
      each["load_s"] = row.report->load_s;
      each["first_token_s"] = row.report->first_token_s;
      each["prefill_tokens_per_s"] = row.report->prefill_tokens_per_s;
      each["decode_tokens_per_s"] = row.report->decode_tokens_per_s;
      each["memory_bytes"] = row.report->memory_bytes;
    } else {
      each["why_not"] = row.report.error().message;
    }
    out.push_back(std::move(each));
  }
  return out;
}

// Ratios are to the first engine that was measured.
std::string ratio_text(double value, double first) {
  return first > 0 ? fmt::format("{:.2f}x", value / first) : "-";
}

std::string rows_text(const std::vector<Row>& rows) {
  std::string out =
      fmt::format("{:16} {:>8} {:>9} {:>14} {:>6} {:>14} {:>6} {:>10}\n", "ENGINE", "LOAD S",
                  "FIRST MS", "PREFILL TOK/S", "", "DECODE TOK/S", "", "MEMORY");
  const EngineBenchReport* first = nullptr;
  for (const Row& row : rows) {
    if (!row.report) {
      out += fmt::format("{:16} {}\n", row.engine, escape_controls(row.report.error().message));
      continue;
    }
    const EngineBenchReport& report = *row.report;
    if (first == nullptr) first = &report;
    out += fmt::format("{:16} {:8.2f} {:9.1f} {:14.1f} {:>6} {:14.1f} {:>6} {:>10}\n", row.engine,
                       report.load_s, report.first_token_s * 1000, report.prefill_tokens_per_s,
                       ratio_text(report.prefill_tokens_per_s, first->prefill_tokens_per_s),
                       report.decode_tokens_per_s,
                       ratio_text(report.decode_tokens_per_s, first->decode_tokens_per_s),
                       size_text(report.memory_bytes));
  }
  return out;
}

Result<void> compare_engines(const Context& context, const BenchVerbOptions& options) {
  if (options.sequences != 1) {
    return fail(ErrorCode::InvalidArgument,
                "--sequences is for our own engine, measured without --backends", "--sequences");
  }
  if (!context.engine_kinds)
    return fail(ErrorCode::Unsupported, "this program was built without engines to compare");
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  MINERVA_ASSIGN(const auto kinds, context.engine_kinds(context.configuration));
  MINERVA_ASSIGN(const std::vector<bool> wanted, wanted_of(options.engines, kinds));
  const auto probed = probe_engines(kinds, kProbeTime);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (!wanted[i]) continue;
    if (!probed[i].found.available) {
      rows.push_back({probed[i].name, fail(ErrorCode::Unavailable, probed[i].found.why_not)});
      continue;
    }
    if (is_terminal(kStderr)) tell(fmt::format("measuring {} …", probed[i].name));
    rows.push_back(
        {probed[i].name, bench_engine(*kinds[i], models::spec_of(entry), {}, context.clock)});
    if (is_terminal(kStderr)) tell("\r\x1b[K");
  }
  if (!options.json) return write_out(rows_text(rows));
  return write_out(wire::dump_json({{"model", entry.name}, {"engines", rows_json(rows)}}) + "\n");
}

}  // namespace

Result<void> bench_model(const Context& context, const BenchVerbOptions& options) {
  if (!options.engines.empty()) return compare_engines(context, options);
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  MINERVA_ASSIGN(const Compute compute, make_compute(context.settings()));
  backend::BenchOptions bench;
  bench.sequences = static_cast<std::size_t>(options.sequences);
  if (is_terminal(kStderr)) tell("measuring …");
  const auto measured = backend::benchmark([&] { return models::open_model(entry.path); }, bench,
                                           *compute.pool, *compute.kernels);
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
    out["token_bytes"] = report.token_bytes;
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
