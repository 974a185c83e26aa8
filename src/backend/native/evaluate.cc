#include "backend/native/evaluate.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "engine/decoder.h"
#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace minerva::backend {
namespace {

// numerics.md's window: long enough for context to matter, short enough for many of them.
constexpr std::size_t kProtocolWindow = 512;
constexpr std::size_t kLogitRows = 32;  // scored at a time; bounds the memory for logits

// A model that scores one window at a time, in chunks.
class Scorer {
 public:
  static Result<std::unique_ptr<Scorer>> open(std::shared_ptr<const formats::GgufFile> file,
                                              engine::Numerics numerics, std::size_t window,
                                              engine::ComputePool& pool,
                                              const kernels::KernelTable& kernels) {
    auto scorer = std::unique_ptr<Scorer>(new Scorer());
    MINERVA_ASSIGN(scorer->model_, engine::Model::load(std::move(file), numerics, pool));
    engine::KvLayout layout(scorer->model_->config());
    const std::uint64_t bytes = layout.bytes_for(window);
    MINERVA_ASSIGN(scorer->kv_, engine::KvPool::create(std::move(layout), bytes, window));
    scorer->decoder_ = std::make_unique<engine::Decoder>(
        scorer->model_, *scorer->kv_, pool, kernels,
        engine::Decoder::Limits{.tokens = kLogitRows, .logits = kLogitRows, .context = window});
    return scorer;
  }

  const engine::ModelConfig& config() const { return model_->config(); }
  void begin() {
    if (sequence_) kv_->release(*sequence_);
    sequence_ = kv_->make_sequence();
  }
  // The next tokens of the window, at most kLogitRows; logits from index `from` on.
  Result<void> feed(std::span<const TokenId> tokens, std::size_t from) {
    if (!kv_->reserve(*sequence_, tokens.size())) {
      return fail(ErrorCode::OutOfMemory, "the window's pages do not fit");
    }
    const engine::StepItem item{&*sequence_, tokens, std::min(from, tokens.size())};
    decoder_->step({&item, 1});
    return {};
  }
  std::span<float> logits(std::size_t row) { return decoder_->logits(row); }

 private:
  Scorer() = default;
  std::shared_ptr<const engine::Model> model_;
  std::unique_ptr<engine::KvPool> kv_;
  std::unique_ptr<engine::Decoder> decoder_;
  std::optional<engine::SequenceKv> sequence_;
};

// log(sum(exp(logits))), in double: this is a measurement, not a result that must be reproduced.
double log_sum_exp(std::span<const float> logits) {
  const double max = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float l : logits) sum += std::exp(static_cast<double>(l) - max);
  return max + std::log(sum);
}

// KL(p || q) of the two next-token distributions, p being the reference.
double divergence(std::span<const float> p, std::span<const float> q) {
  const double lp = log_sum_exp(p);
  const double lq = log_sum_exp(q);
  double kl = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = static_cast<double>(p[i]) - lp;
    const double prob = std::exp(log_p);
    if (prob > 0) kl += prob * (log_p - (static_cast<double>(q[i]) - lq));
  }
  return kl;
}

std::size_t argmax(std::span<const float> x) {
  return static_cast<std::size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

// The tokens that windows are cut from, and how.
struct Plan {
  std::vector<TokenId> tokens;
  std::optional<TokenId> bos;  // put in front of every window
  std::size_t window = 0;      // tokens with the bos
  std::size_t count = 0;
  std::size_t first_scored = 1;

  // Window i, with its bos.
  std::vector<TokenId> cut(std::size_t i) const {
    std::vector<TokenId> out;
    if (bos) out.push_back(*bos);
    const std::size_t length = window - out.size();
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i * length);
    const auto end = i * length + length <= tokens.size()
                         ? begin + static_cast<std::ptrdiff_t>(length)
                         : tokens.end();
    out.insert(out.end(), begin, end);
    return out;
  }
};

Result<Plan> make_plan(const text::Tokenizer& tokenizer, std::string_view text,
                       const EvalOptions& options, std::size_t trained) {
  Plan plan;
  MINERVA_ASSIGN(plan.tokens, tokenizer.encode(text, {}));
  if (options.tokens_max != 0 && plan.tokens.size() > options.tokens_max) {
    plan.tokens.resize(options.tokens_max);
  }
  if (tokenizer.adds_bos()) plan.bos = tokenizer.bos();
  const std::size_t extra = plan.bos ? 1 : 0;
  if (options.context > trained) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("a context of {} tokens was asked for; the model was trained for {}",
                            options.context, trained),
                "context");
  }
  const std::size_t asked = options.context != 0 ? options.context
                            : options.windows    ? std::min(kProtocolWindow, trained)
                                                 : trained;
  plan.window = std::min(asked, plan.tokens.size() + extra);
  if (plan.window < 2) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the text has {} tokens; two are needed to score one prediction",
                            plan.tokens.size()),
                "text");
  }
  plan.count = options.windows ? plan.tokens.size() / (plan.window - extra) : 1;
  plan.first_scored = options.windows ? plan.window / 2 : 1;
  return plan;
}

}  // namespace

Result<EvalReport> evaluate(const EvalModel& model, std::string_view text,
                            const EvalOptions& options, engine::ComputePool& pool,
                            const kernels::KernelTable& kernels) {
  const auto& [file, tokenizer] = model;
  MINERVA_ASSIGN(const engine::ModelConfig config, engine::read_config(*file));
  MINERVA_ASSIGN(const Plan plan, make_plan(*tokenizer, text, options, config.trained_context));
  MINERVA_ASSIGN(const auto scorer,
                 Scorer::open(file, options.numerics, plan.window, pool, kernels));
  std::unique_ptr<Scorer> reference;
  if (options.kl_to_f32) {
    MINERVA_ASSIGN(reference,
                   Scorer::open(file, engine::Numerics::F32, plan.window, pool, kernels));
  }

  EvalReport report;
  report.text_tokens = plan.tokens.size();
  report.window_tokens = plan.window;
  double nll = 0;
  double f32_nll = 0;
  double kl = 0;
  std::size_t same = 0;
  const std::uint64_t total = static_cast<std::uint64_t>(plan.count) * plan.window;
  for (std::size_t w = 0; w < plan.count; ++w) {
    const std::vector<TokenId> tokens = plan.cut(w);
    scorer->begin();
    if (reference) reference->begin();
    for (std::size_t at = 0; at < tokens.size(); at += kLogitRows) {
      const std::size_t count = std::min(kLogitRows, tokens.size() - at);
      const auto chunk = std::span(tokens).subspan(at, count);
      // Position p is predicted by the logits at p - 1.
      const std::size_t from = plan.first_scored - 1 > at ? plan.first_scored - 1 - at : 0;
      MINERVA_TRY(scorer->feed(chunk, from));
      if (reference) MINERVA_TRY(reference->feed(chunk, from));
      for (std::size_t i = from; i < count && at + i + 1 < tokens.size(); ++i) {
        const auto next = static_cast<std::size_t>(tokens[at + i + 1]);
        const std::span<float> logits = scorer->logits(i - from);
        nll += log_sum_exp(logits) - static_cast<double>(logits[next]);
        ++report.scored;
        if (options.each_logits) MINERVA_TRY(options.each_logits(logits));
        if (!reference) continue;
        const std::span<float> exact = reference->logits(i - from);
        f32_nll += log_sum_exp(exact) - static_cast<double>(exact[next]);
        const double here = divergence(exact, logits);
        kl += here;
        report.worst_kl = std::max(report.worst_kl, here);
        same += argmax(exact) == argmax(logits) ? 1 : 0;
      }
      if (options.progress) options.progress(w * plan.window + at + count, total);
    }
    ++report.windows;
  }
  const auto scored = static_cast<double>(std::max<std::size_t>(report.scored, 1));
  report.mean_nll = nll / scored;
  report.perplexity = std::exp(report.mean_nll);
  if (reference) {
    report.mean_kl = kl / scored;
    report.same_argmax = static_cast<double>(same) / scored;
    report.f32_perplexity = std::exp(f32_nll / scored);
  }
  return report;
}

}  // namespace minerva::backend
