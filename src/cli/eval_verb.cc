#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "backend/native/evaluate.h"
#include "base/mapped_file.h"
#include "cli/compute.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/folder_model.h"
#include "models/vocabulary_cache.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

// Where --dump-logits goes. Closed at the end.
class LogitSink {
 public:
  static Result<std::unique_ptr<LogitSink>> open(const std::string& path) {
    const int fd = path == "-"
                       ? ::dup(kStdout)
                       : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) return std::unique_ptr<LogitSink>(new LogitSink(fd));
    return fail(ErrorCode::Io,
                fmt::format("cannot write {}: {}", path, std::generic_category().message(errno)));
  }
  ~LogitSink() { ::close(fd_); }
  LogitSink(const LogitSink&) = delete;
  LogitSink& operator=(const LogitSink&) = delete;

  Result<void> write(std::span<const float> row) const {
    const auto bytes = std::as_bytes(row);
    return write_out({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, fd_);
  }

 private:
  explicit LogitSink(int fd) : fd_(fd) {}
  const int fd_;
};

wire::Json to_json(const std::string& model, const backend::EvalReport& report, bool kl) {
  wire::Json out;
  out["model"] = model;
  out["perplexity"] = report.perplexity;
  out["mean_nll"] = report.mean_nll;
  out["text_tokens"] = report.text_tokens;
  out["windows"] = report.windows;
  out["window_tokens"] = report.window_tokens;
  out["scored"] = report.scored;
  if (kl) {
    out["mean_kl"] = report.mean_kl;
    out["worst_kl"] = report.worst_kl;
    out["same_argmax"] = report.same_argmax;
    out["f32_perplexity"] = report.f32_perplexity;
  }
  return out;
}

std::string words(const backend::EvalReport& report, bool kl) {
  std::string out = fmt::format(
      "perplexity {:.4f}  ({} predictions; {} window{} of {} tokens, of a text of {})\n",
      report.perplexity, report.scored, report.windows, report.windows == 1 ? "" : "s",
      report.window_tokens, report.text_tokens);
  if (kl) {
    out += fmt::format(
        "KL to float32: mean {:.6f}, worst {:.6f}; same first choice at {:.2f} % of the positions; "
        "perplexity of float32 {:.4f}\n",
        report.mean_kl, report.worst_kl, report.same_argmax * 100, report.f32_perplexity);
  }
  return out;
}

}  // namespace

Result<void> evaluate_model(const Context& context, const EvalVerbOptions& options) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  MINERVA_ASSIGN(const auto file, MappedFile::open(options.text_file));
  const auto bytes = file->bytes();
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  MINERVA_ASSIGN(const Compute compute, make_compute(context.settings()));
  std::unique_ptr<LogitSink> sink;
  if (!options.dump_logits.empty()) {
    MINERVA_ASSIGN(sink, LogitSink::open(options.dump_logits));
  }

  ProgressBar bar("evaluating", context.clock);
  backend::EvalOptions eval;
  eval.context = static_cast<std::size_t>(options.window);
  eval.windows = options.windows;
  eval.tokens_max = static_cast<std::size_t>(options.tokens);
  eval.kl_to_f32 = !options.kl_to.empty();
  eval.numerics = compute.numerics;
  eval.progress = bar.callback();
  if (sink) eval.each_logits = [&](std::span<const float> row) { return sink->write(row); };
  backend::EvalModel model;
  MINERVA_ASSIGN(model.file, models::open_model(entry.path));
  MINERVA_ASSIGN(const auto vocabulary, models::load_vocabulary(entry.path));
  model.tokenizer = vocabulary->tokenizer;
  MINERVA_ASSIGN(const backend::EvalReport report,
                 backend::evaluate(model, text, eval, *compute.pool, *compute.kernels));
  bar.clear();
  // Where standard output is the logits' the report goes beside it.
  const int out = options.dump_logits == "-" ? kStderr : kStdout;
  if (options.json)
    return write_out(wire::dump_json(to_json(entry.name, report, eval.kl_to_f32)) + "\n", out);
  return write_out(words(report, eval.kl_to_f32), out);
}

}  // namespace minerva::cli
