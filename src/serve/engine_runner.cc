#include "serve/engine_runner.h"

#include <fmt/core.h>

#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/system.h"

namespace minerva::serve {
namespace {

constexpr std::size_t kLastWords = 20;
constexpr Duration kUnloadGrace = std::chrono::seconds(2);
// As in DeadlineWatch: the clock may be one that is moved by hand.
constexpr Duration kLookEvery = std::chrono::milliseconds(50);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::shared_ptr<backend::InferenceBackend> EngineRunner::engine() const {
  const std::lock_guard lock(mutex_);
  return engine_;
}

std::vector<std::string> EngineRunner::last_log_lines() const {
  if (const auto alive = engine()) {
    auto lines = alive->last_log_lines(kLastWords);
    if (!lines.empty()) return lines;
  }
  const std::lock_guard lock(mutex_);
  return last_words_;
}

void EngineRunner::load(std::function<void(Result<void>)> done) {
  workers_.run([this, self = shared_from_this(), done = std::move(done)] {
    const TimePoint begun = clock_.now();
    Result<void> outcome = load_now();
    const std::string& name = options_.spec.name;
    if (outcome) {
      const auto ready = engine();
      log_info("model '{}' is ready on {}: context {} tokens, {} threads, {:.1f} s", name,
               kind_->name(), ready->context_size(), ready->thread_count(),
               seconds(clock_.now() - begun));
    } else {
      log_error("model '{}' cannot be used on {}: {}", name, kind_->name(),
                outcome.error().message);
      outcome = fail(std::move(outcome).error().in(fmt::format("model '{}'", name)));
    }
    done(std::move(outcome));
  });
}

Result<void> EngineRunner::load_now() {
  MINERVA_ASSIGN(std::shared_ptr<backend::InferenceBackend> fresh, kind_->make());
  {
    const std::lock_guard lock(mutex_);
    engine_ = fresh;
  }
  MINERVA_TRY(fresh->start());
  MINERVA_TRY(fresh->load_model(options_.spec, options_.context_size));
  if (!options_.self_test) return {};
  return one_token(*fresh, options_.self_test_time_max);
}

void EngineRunner::abort() {
  if (const auto engine = this->engine()) {
    workers_.run([engine] { engine->kill(); });
  }
}

void EngineRunner::unload(bool kill, std::function<void()> done) {
  workers_.run([this, self = shared_from_this(), kill, done = std::move(done)] {
    std::shared_ptr<backend::InferenceBackend> old;
    {
      const std::lock_guard lock(mutex_);
      old = std::move(engine_);
    }
    if (old) {
      auto words = old->last_log_lines(kLastWords);
      if (kill) {
        old->kill();
      } else {
        old->stop(kUnloadGrace);
      }
      const std::lock_guard lock(mutex_);
      last_words_ = std::move(words);
    }
    old.reset();  // joins its threads, ends its processes
    // Before the next one asks what is free: an allocator keeps tens of MiB of a model's buffers.
    return_freed_memory();
    done();
  });
}

void EngineRunner::probe(Duration time_max, std::function<void(bool)> done) {
  workers_.run([this, self = shared_from_this(), time_max, done = std::move(done)] {
    const auto engine = this->engine();
    done(engine && one_token(*engine, time_max).has_value());
  });
}

Result<void> EngineRunner::ask_for_token(
    backend::InferenceBackend& engine, const backend::Capabilities& can,
    const std::shared_ptr<backend::GenerationStream>& stream) const {
  backend::GenerateRequest request;
  request.id = "self-test";
  if (can.token_prompts != backend::Support::No) {
    request.prompt.emplace_back(std::vector<TokenId>{options_.self_test_token});
  } else if (can.text_prompts != backend::Support::No) {
    request.prompt.emplace_back(std::string("a"));
  } else {
    request.prompt.emplace_back(
        backend::ChatPrompt{R"([{"role":"user","content":"a"}])", std::string()});
  }
  request.sampling.temperature = 0;
  request.max_tokens = 1;
  request.ignore_end_of_generation = true;
  return engine.generate(std::move(request), stream);
}

Result<void> EngineRunner::ask_for_vector(
    backend::InferenceBackend& engine,
    const std::shared_ptr<backend::GenerationStream>& stream) const {
  backend::EmbedRequest request;
  request.id = "self-test";
  request.inputs.emplace_back(std::vector<TokenId>{options_.self_test_token});
  return engine.embed(std::move(request), stream);
}

Result<void> EngineRunner::one_token(backend::InferenceBackend& engine, Duration time_max) const {
  const backend::Capabilities can = engine.capabilities();
  const auto stream = std::make_shared<backend::GenerationStream>();
  MINERVA_TRY(can.generation == backend::Support::No ? ask_for_vector(engine, stream)
                                                     : ask_for_token(engine, can, stream));
  const TimePoint give_up = clock_.now() + time_max;
  while (clock_.now() < give_up) {
    const auto event = stream->pop_for(kLookEvery);
    if (!event) continue;
    const auto* end = std::get_if<backend::EndEvent>(&*event);
    if (end == nullptr) continue;
    if (end->outcome == backend::EndEvent::Outcome::Done) return {};
    return fail(end->error.value_or(Error{ErrorCode::Unavailable, "it was stopped"}));
  }
  stream->cancel();
  return fail(Error{ErrorCode::Timeout,
                    fmt::format("it loaded, but made no token within {:.0f} s", seconds(time_max)),
                    {},
                    std::string(engine.name())});
}

}  // namespace minerva::serve
