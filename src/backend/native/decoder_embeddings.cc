#include "backend/native/decoder_embeddings.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace minerva::backend {
namespace {

// Of one request, in the batcher at a time: enough to fill a step with short texts.
constexpr std::size_t kTogether = 8;

}  // namespace

class DecoderEmbeddings::Text final : public engine::BatchSink {
 public:
  Text(std::shared_ptr<DecoderEmbeddings> all, std::size_t index)
      : all_(std::move(all)), index_(index) {}

  bool cancelled() const override { return all_->unwanted(); }
  bool paused() const override { return false; }
  void prefill(std::size_t, std::size_t) override {}
  void token(std::uint32_t, TokenId, const engine::Logprobs*) override {}
  void choice_end(std::uint32_t, engine::StopReason) override {}
  void embedding(std::span<const float> vector) override { all_->take(index_, vector); }
  void finished(const engine::BatchUsage& usage) override { all_->text_done(usage); }
  void failed(Error error, const engine::BatchUsage&) override {
    all_->fail_with(std::move(error));
  }
  void cancelled_end(const engine::BatchUsage&) override { all_->cancel(); }

 private:
  const std::shared_ptr<DecoderEmbeddings> all_;
  const std::size_t index_;
};

DecoderEmbeddings::DecoderEmbeddings(engine::EmbedJob job, Vectors vectors, bool interactive,
                                     engine::Batcher& batcher, const Clock& clock)
    : job_(std::move(job)),
      vectors_(vectors),
      interactive_(interactive),
      batcher_(batcher),
      clock_(clock),
      submitted_(clock.now()) {}

Result<void> DecoderEmbeddings::begin(engine::EmbedJob job, Vectors vectors, bool interactive,
                                      engine::Batcher& batcher, const Clock& clock) {
  const auto all =
      std::make_shared<DecoderEmbeddings>(std::move(job), vectors, interactive, batcher, clock);
  MINERVA_TRY(all->submit_next());
  // Where the batcher is full, the first one alone brings the others behind it.
  for (std::size_t i = 1; i < kTogether && all->submit_next(); ++i) {
  }
  return {};
}

Result<void> DecoderEmbeddings::submit_next() {
  const std::lock_guard lock(mutex_);
  if (next_ == job_.texts.size()) return {};
  engine::BatchRequest ask;
  ask.prompt = job_.texts[next_];
  ask.embed = vectors_.pooling;
  ask.max_tokens = 1;
  ask.interactive = interactive_;
  ask.deadline = job_.deadline;
  ask.sink = std::make_shared<Text>(shared_from_this(), next_);
  MINERVA_TRY(batcher_.submit(std::move(ask)));
  ++next_;
  return {};
}

bool DecoderEmbeddings::others_run() const {
  const std::lock_guard lock(mutex_);
  return next_ > done_;
}

void DecoderEmbeddings::take(std::size_t text, std::span<const float> vector) {
  if (over_) return;
  std::vector<float> values(vector.begin(), vector.end());
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    fail_with({ErrorCode::InvalidModel,
               "the model gave a vector that is not finite: its weights are broken"});
    return;
  }
  if (vectors_.normalize) engine::normalize(values);
  job_.sink->embedding(text, values);
}

void DecoderEmbeddings::text_done(const engine::BatchUsage& usage) {
  if (done_++ == 0) queued_ = usage.queued;
  if (over_) return;
  if (done_ == job_.texts.size()) {
    over_ = true;
    job_.sink->finished(this->usage());
    return;
  }
  // One that found no place now goes when another of ours has ended.
  if (const auto more = submit_next(); !more && !others_run()) fail_with(more.error());
}

void DecoderEmbeddings::fail_with(Error error) {
  if (!std::exchange(over_, true)) job_.sink->failed(std::move(error), usage());
}

void DecoderEmbeddings::cancel() {
  if (!std::exchange(over_, true)) job_.sink->cancelled_end(usage());
}

engine::EmbedUsage DecoderEmbeddings::usage() const {
  engine::EmbedUsage usage;
  for (const auto& text : job_.texts) usage.prompt_tokens += text.size();
  usage.queued = queued_;
  usage.compute = clock_.now() - submitted_ - queued_;
  return usage;
}

}  // namespace minerva::backend
