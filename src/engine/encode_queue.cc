#include "engine/encode_queue.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace minerva::engine {

struct EncodeQueue::Request {
  EmbedJob job;
  TimePoint arrived{};
  std::optional<TimePoint> first_step;
  std::size_t next = 0;  // text to be picked
  std::size_t done = 0;
  bool ended = false;
};

EncodeQueue::EncodeQueue(std::unique_ptr<Encoder> encoder, Options options, const Clock& clock,
                         Metrics& metrics)
    : encoder_(std::move(encoder)),
      options_(options),
      clock_(clock),
      metrics_(metrics),
      inbox_(options.waiting_max) {
  thread_ = start_worker("encoder", inbox_, [this] { loop(); });
}

EncodeQueue::~EncodeQueue() {
  stop();
  thread_.join();
}

Result<void> EncodeQueue::submit(EmbedJob job) {
  MINERVA_CHECK(!job.texts.empty() && job.sink != nullptr);
  auto request = std::make_shared<Request>();
  request->job = std::move(job);
  request->arrived = clock_.now();
  return inbox_.put(std::move(request));
}

bool EncodeQueue::take_in() {
  if (requests_.empty()) inbox_.wait(std::nullopt);
  auto taken = inbox_.take();
  for (auto& request : taken.requests) requests_.push_back(std::move(request));
  return !taken.stop;
}

void EncodeQueue::loop() {
  while (take_in()) {
    sweep();
    drop_ended();
    step();
    drop_ended();
  }
  for (const auto& request : requests_) {
    end(*request, Error{ErrorCode::Unavailable, "the model was unloaded"}, false);
  }
  drop_ended();
}

// Looks at what only readers and the clock change.
void EncodeQueue::sweep() {
  const TimePoint now = clock_.now();
  for (const auto& request : requests_) {
    if (request->job.sink->cancelled()) {
      end(*request, std::nullopt, true);
    } else if (request->job.deadline && now >= *request->job.deadline) {
      end(*request, Error{ErrorCode::Timeout, "the request's deadline has passed"}, false);
    }
  }
}

// Texts from all requests in turn, one each, until the step is full.
std::vector<EncodeQueue::Picked> EncodeQueue::pick() {
  std::vector<Picked> picked;
  std::size_t tokens = 0;
  bool more = true;
  while (more) {
    more = false;
    for (const auto& request : requests_) {
      if (request->next == request->job.texts.size()) continue;
      const std::size_t size = request->job.texts[request->next].size();
      if (!picked.empty() && tokens + size > options_.step_tokens) continue;
      tokens += size;
      picked.push_back({request, request->next++});
      more = true;
    }
  }
  // Who was first now is last in the next step, so that a short step serves everybody in turn.
  if (requests_.size() > 1) std::rotate(requests_.begin(), requests_.begin() + 1, requests_.end());
  return picked;
}

void EncodeQueue::step() {
  const std::vector<Picked> picked = pick();
  if (picked.empty()) return;
  const TimePoint now = clock_.now();
  std::vector<std::span<const TokenId>> texts;
  std::size_t tokens = 0;
  for (const Picked& one : picked) {
    if (!one.request->first_step) one.request->first_step = now;
    texts.emplace_back(one.request->job.texts[one.text]);
    tokens += texts.back().size();
  }
  const std::size_t width = encoder_->config().width;
  std::vector<float> out(texts.size() * width);
  encoder_->encode(texts, out.data());
  if (!encoder_->intact()) {
    const Error error{ErrorCode::InvalidModel,
                      "the model's file was cut short while it was in use; restore it and load the "
                      "model again"};
    for (const auto& request : requests_) end(*request, error, false);
    return;
  }
  steps_.fetch_add(1, std::memory_order_relaxed);
  tokens_.fetch_add(tokens, std::memory_order_relaxed);
  metrics_.add(Metric::StepsTotal, 1);
  metrics_.observe(Metric::BatchWidth, static_cast<double>(texts.size()));
  for (std::size_t i = 0; i < picked.size(); ++i) {
    Request& request = *picked[i].request;
    if (request.ended) continue;
    const std::span<const float> values(out.data() + i * width, width);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      end(request,
          Error{ErrorCode::InvalidModel,
                "the model gave a vector that is not finite: its weights are broken"},
          false);
      continue;
    }
    request.job.sink->embedding(picked[i].text, values);
    if (++request.done == request.job.texts.size()) end(request, std::nullopt, false);
  }
}

void EncodeQueue::end(Request& request, std::optional<Error> error, bool cancelled) {
  if (std::exchange(request.ended, true)) return;
  if (error) {
    request.job.sink->failed(std::move(*error), usage_of(request));
  } else if (cancelled) {
    request.job.sink->cancelled_end(usage_of(request));
  } else {
    request.job.sink->finished(usage_of(request));
  }
}

EmbedUsage EncodeQueue::usage_of(const Request& request) const {
  EmbedUsage usage;
  for (const auto& text : request.job.texts) usage.prompt_tokens += text.size();
  const TimePoint now = clock_.now();
  usage.queued = request.first_step.value_or(now) - request.arrived;
  if (request.first_step) usage.compute = now - *request.first_step;
  return usage;
}

void EncodeQueue::drop_ended() {
  const std::size_t ended =
      std::erase_if(requests_, [](const auto& request) { return request->ended; });
  inbox_.leave(ended);
}

}  // namespace minerva::engine
