#include "backend/fake/fake_backend.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "backend/fake/fake_worker.h"

namespace minerva::backend {
namespace {

constexpr std::uint32_t kChoicesMax = 8;
constexpr std::int32_t kLogprobsMax = 8;  // as many as the model has candidates

std::unexpected<Error> refuse(ErrorCode code, std::string message, std::string param = {}) {
  return fail(Error{code, std::move(message), std::move(param), "fake"});
}

Result<void> check_token(TokenId id, std::string_view what) {
  if (FakeModel::is_token(id)) return {};
  return refuse(
      ErrorCode::InvalidArgument,
      fmt::format("{} {} is no token: ids go from 0 to {}", what, id, FakeModel::kVocabSize - 1),
      std::string(what));
}

Result<std::vector<TokenId>> prompt_tokens(const std::vector<PromptItem>& prompt) {
  std::vector<TokenId> tokens;
  for (const PromptItem& item : prompt) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&item)) {
      for (const TokenId id : *ids) MINERVA_TRY(check_token(id, "prompt"));
      tokens.insert(tokens.end(), ids->begin(), ids->end());
    } else if (const auto* text = std::get_if<std::string>(&item)) {
      const std::vector<TokenId> ids = FakeModel::encode(*text);
      if (tokens.empty()) tokens.push_back(FakeModel::kBeginning);
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    } else {
      return refuse(ErrorCode::Unsupported, "the fake backend takes no embeddings as a prompt");
    }
  }
  if (tokens.empty()) return refuse(ErrorCode::InvalidArgument, "the prompt is empty", "prompt");
  return tokens;
}

}  // namespace

FakeBackend::FakeBackend(FakeOptions options, const Clock& clock)
    : options_(options), worker_(std::make_shared<FakeWorker>(std::move(options), clock)) {}

FakeBackend::~FakeBackend() { worker_->close(); }

Result<void> FakeBackend::load_model(const ModelSpec&, std::size_t context_size) {
  return worker_->load(context_size);
}

Result<void> FakeBackend::unload_model() {
  worker_->unload();
  return {};
}

bool FakeBackend::is_loaded() const { return worker_->context_size() != 0; }

std::size_t FakeBackend::context_size() const { return worker_->context_size(); }

Result<void> FakeBackend::generate(GenerateRequest request,
                                   std::shared_ptr<GenerationStream> stream) {
  if (request.constraint) {
    return refuse(ErrorCode::Unsupported, "the fake backend keeps no constraints");
  }
  if (request.n == 0 || request.n > kChoicesMax) {
    return refuse(ErrorCode::InvalidArgument,
                  fmt::format("n is {}, but must be 1 to {}", request.n, kChoicesMax), "n");
  }
  if (request.logprobs > kLogprobsMax) {
    return refuse(
        ErrorCode::InvalidArgument,
        fmt::format("logprobs is {}, but may be {} at most", request.logprobs, kLogprobsMax),
        "logprobs");
  }
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    MINERVA_TRY(check_token(id, "logit_bias"));
  }
  for (const TokenId id : request.resume_prefix) MINERVA_TRY(check_token(id, "resume_prefix"));
  if (!is_loaded()) return refuse(ErrorCode::Unavailable, "no model is loaded");
  MINERVA_ASSIGN(auto prompt, prompt_tokens(request.prompt));
  return worker_->submit(std::move(request), std::move(prompt), std::move(stream));
}

Result<void> FakeBackend::embed(EmbedRequest request, std::shared_ptr<GenerationStream> stream) {
  if (!options_.embeds) return refuse(ErrorCode::Unsupported, "embeds is off", "model");
  if (!is_loaded()) return refuse(ErrorCode::Unavailable, "no model is loaded");
  if (request.inputs.empty()) {
    return refuse(ErrorCode::InvalidArgument, "there is nothing to embed", "input");
  }
  EndEvent end;
  end.engine = "fake";
  const FakeFaults faults = worker_->faults();
  if (faults.hang_at_token || stream->cancelled()) {
    end.outcome = EndEvent::Outcome::Cancelled;
    const auto end_once = [weak = std::weak_ptr(stream), end,
                           ended = std::make_shared<std::atomic<bool>>(false)] {
      const auto alive = weak.lock();
      if (alive && alive->cancelled() && !ended->exchange(true)) alive->push(end);
    };
    stream->on_wake_producer(end_once);
    end_once();  // its reader may have left before it could be heard
    return {};
  }
  std::vector<EmbeddingEvent> events;
  for (const auto& input : request.inputs) {
    PromptItem item;
    std::visit([&](const auto& one) { item = one; }, input);
    MINERVA_ASSIGN(const std::vector<TokenId> tokens, prompt_tokens({item}));
    if (tokens.size() > context_size()) {
      return refuse(ErrorCode::ContextExceeded,
                    fmt::format("{} tokens, at most {}", tokens.size(), context_size()), "input");
    }
    end.usage.prompt_tokens += tokens.size();
    events.push_back({static_cast<std::uint32_t>(events.size()), FakeModel::embedding(tokens)});
  }
  if (faults.fail_at_token) {
    events.resize(std::min<std::size_t>(events.size(), *faults.fail_at_token));
    end.outcome = EndEvent::Outcome::Failed;
    end.error = Error{ErrorCode::Internal, "a fault was asked for", {}, "fake"};
  }
  for (EmbeddingEvent& event : events) stream->push(std::move(event));
  stream->push(std::move(end));
  return {};
}

Result<std::vector<TokenId>> FakeBackend::tokenize(std::string_view text,
                                                   TokenizeOptions options) const {
  if (!is_loaded()) return refuse(ErrorCode::Unavailable, "no model is loaded");
  std::vector<TokenId> ids = FakeModel::encode(text);
  if (options.add_special) ids.insert(ids.begin(), FakeModel::kBeginning);
  return ids;
}

Result<std::string> FakeBackend::detokenize(std::span<const TokenId> tokens) const {
  if (!is_loaded()) return refuse(ErrorCode::Unavailable, "no model is loaded");
  for (const TokenId id : tokens) MINERVA_TRY(check_token(id, "tokens"));
  return FakeModel::decode(tokens);
}

Result<void> FakeBackend::start() { return {}; }
void FakeBackend::stop(Duration grace) { worker_->stop(grace); }
void FakeBackend::kill() { worker_->kill(); }
Probe FakeBackend::probe() const { return worker_->probe(); }

ResourceUsage FakeBackend::usage() const {
  ResourceUsage usage;
  usage.memory.push_back({.device = "cpu", .bytes = worker_->memory_bytes()});
  return usage;
}

Activity FakeBackend::activity() const {
  return {worker_->tokens_made(), worker_->tokens_made(), worker_->running()};
}

std::vector<std::string> FakeBackend::last_log_lines(std::size_t) const { return {}; }

Capabilities FakeBackend::capabilities() const {
  Capabilities can;
  can.token_prompts = Support::Yes;
  can.text_prompts = Support::Yes;
  can.logprobs = Support::Yes;
  can.logit_bias = Support::Yes;
  can.seed = Support::Yes;
  can.load_invariant = Support::Yes;
  can.tokenize = Support::Yes;
  can.embeddings = options_.embeds ? Support::Yes : Support::No;
  can.generation = options_.generates ? Support::Yes : Support::No;
  can.choices_max = kChoicesMax;
  return can;
}

void FakeBackend::set_faults(FakeFaults faults) { worker_->set_faults(std::move(faults)); }
void FakeBackend::advance(std::uint64_t steps) { worker_->advance(steps); }
void FakeBackend::set_load_progress(LoadProgress progress) { worker_->set_load_progress(progress); }
LoadProgress FakeBackend::load_progress() const { return worker_->load_progress(); }
void FakeBackend::release_load() { worker_->release_load(); }
std::size_t FakeBackend::running() const { return worker_->running(); }
std::size_t FakeBackend::loads() const { return worker_->loads(); }
std::size_t FakeBackend::widest_step() const { return worker_->widest_step(); }
std::uint64_t FakeBackend::tokens_made() const { return worker_->tokens_made(); }

}  // namespace minerva::backend
