#include "support/fake_engine/completion.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend/fake/fake_model.h"
#include "base/utf8.h"
#include "support/fake_engine/llama_events.h"

namespace minerva::fake_engine {
namespace {

using backend::FakeModel;
using Json = nlohmann::ordered_json;

// The prompt as token ids; a conversation is written in ChatML, as the byte vocabulary's template
// does. Nothing when the request makes no sense.
std::optional<std::vector<TokenId>> prompt_of(const Json& request, bool chat) {
  std::vector<TokenId> ids;
  const auto add = [&](std::string_view text) {
    for (const TokenId id : FakeModel::encode(text)) ids.push_back(id);
  };
  if (chat) {
    if (!request.contains("messages") || !request["messages"].is_array()) return std::nullopt;
    for (const Json& message : request["messages"]) {
      ids.push_back(FakeModel::kTurnStart);
      add(message.value("role", "") + "\n" + message.value("content", ""));
      ids.push_back(FakeModel::kTurnEnd);
      add("\n");
    }
    ids.push_back(FakeModel::kTurnStart);
    add("assistant\n");
    return ids;
  }
  const Json prompt = request.value("prompt", Json());
  if (prompt.is_string()) {
    add(prompt.get<std::string>());
  } else if (prompt.is_array()) {
    for (const Json& id : prompt) {
      if (!id.is_number_integer()) return std::nullopt;
      ids.push_back(id.get<TokenId>());
    }
  }
  if (ids.empty()) return std::nullopt;
  return ids;
}

// The process does not go on from here, though the port stays open.
[[noreturn]] void hang() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

// One answer. Text is sent by whole characters, as llama-server does.
class Answer {
 public:
  Answer(const State& state, const Options& options, Connection& connection, const Json& request,
         Dialect dialect, std::vector<TokenId> prompt)
      : options_(options),
        connection_(connection),
        chat_(dialect == Dialect::Chat),
        llama_(dialect == Dialect::Llama),
        streams_(request.value("stream", false)),
        usage_(request.contains("stream_options") &&
               request["stream_options"].value("include_usage", false)),
        max_tokens_(request.value(llama_ ? "n_predict" : "max_tokens", std::uint64_t{1} << 40)),
        ignore_end_(request.value("ignore_eos", false)),
        model_(options_.end_one_in, options_.script),
        prefix_(std::move(prompt)),
        prompt_tokens_(prefix_.size()),
        id_(fmt::format("cmpl-{}", state.requests.load())) {
    if (!llama_) return;
    sampling_ = llama_sampling(request);
    seed_ = request.value("seed", std::uint64_t{0});
    probabilities_ = request.value("n_probs", std::size_t{0});
  }

  bool run() {
    if (streams_ && !connection_.begin_stream()) return false;
    if (streams_ && !options_.raw.empty()) {
      connection_.chunk(options_.raw);
      connection_.end_stream();
      return false;
    }
    if (streams_ && options_.zero_work > 0) return pour();
    if (streams_ && options_.lie == "endless_line") {
      connection_.chunk("data: ");
      const std::string block(std::size_t{1} << 16, 'x');
      while (connection_.chunk(block)) {
      }
      return false;
    }
    if (streams_ && chat_ && !piece("", "assistant")) return false;
    while (true) {
      const std::uint64_t made = prefix_.size() - prompt_tokens_;
      if (made >= max_tokens_ || prefix_.size() >= options_.context_size) return finish("length");
      candidates_ = model_.candidates(prefix_, made, ignore_end_);
      chosen_ =
          llama_ ? FakeModel::choose(candidates_, sampling_, seed_, 0, made) : candidates_.front();
      const TokenId next = chosen_.id;
      if (next == FakeModel::kEnd) return finish("stop");
      if (!fault(made, next)) return false;
      std::this_thread::sleep_for(options_.token_delay);
      if (connection_.client_gone()) return false;
      prefix_.push_back(next);
      if (!give(FakeModel::bytes(next))) return false;
    }
  }

 private:
  // What is ordered for the token of this number. False: the stream is broken off.
  bool fault(std::uint64_t number, TokenId next) {
    if (options_.hang_at == number) hang();
    if (options_.spin_at == number) {
      for (std::atomic<std::uint64_t> turns = 0;; ++turns) {
      }
    }
    if (options_.sigstop_at == number) std::raise(SIGSTOP);
    if (options_.die_at == number) ::_exit(1);
    const bool inside = (next & 0xc0) == 0x80 && next < 256;
    if (options_.die_inside_character && inside) {
      // A valid head of an event, and then the first byte of the character alone.
      const char* head = llama_ ? "40\r\ndata: {\"index\":0,\"content\":\""
                                : "40\r\ndata: {\"choices\":[{\"index\":0,\"text\":\"";
      connection_.send(head + held_);
      ::_exit(1);
    }
    if (number != 3) return true;
    if (options_.bad_sse == "json") return connection_.event("{\"choices\":[{]");
    if (options_.bad_sse == "cut") {
      connection_.send("7d0\r\ndata: {\"choices\":[{\"index\":0,");
      return false;
    }
    if (options_.bad_sse == "error_event") {
      connection_.event(error_body(500, "server_error", "the engine is unwell"));
      connection_.event("[DONE]");
      connection_.end_stream();
      return false;
    }
    return true;
  }

  // The relay is measured with these.
  bool pour() {
    std::string block;
    for (std::uint64_t i = 0; i < std::min(options_.zero_work, max_tokens_); ++i) {
      if (options_.token_delay.count() > 0) std::this_thread::sleep_for(options_.token_delay);
      block = llama_token("a", 'a', i + 1, prompt_tokens_).dump();
      if (!connection_.event(block)) return false;
    }
    return connection_.event(llama_last("limit", options_.zero_work, prompt_tokens_).dump()) &&
           connection_.end_stream();
  }

  bool give(const std::string& bytes) {
    held_ += bytes;
    const std::size_t whole = held_.size() - utf8_incomplete_suffix(held_);
    if (whole == 0) return true;
    const std::string text = utf8_replace_invalid(held_.substr(0, whole));
    held_.erase(0, whole);
    whole_ += text;
    return !streams_ || piece(text);
  }

  bool piece(const std::string& text, const char* role = nullptr) {
    if (llama_) return llama_piece(text);
    Json choice = {{"index", options_.lie == "choice" ? 7 : 0}, {"finish_reason", nullptr}};
    if (chat_) {
      choice["delta"] =
          role == nullptr ? Json{{"content", text}} : Json{{"role", role}, {"content", nullptr}};
    } else {
      choice["text"] = text;
      const TokenId token = options_.lie == "ids" ? 1'000'000'000 : prefix_.back();
      choice["token_ids"] = {token};
    }
    return connection_.event(head(Json::array({std::move(choice)})).dump());
  }

  bool llama_piece(const std::string& text) {
    const std::size_t made = prefix_.size() - prompt_tokens_;
    const TokenId token = options_.lie == "ids" ? 1'000'000'000 : prefix_.back();
    Json event =
        llama_token(text, token, options_.lie == "count" ? made + 100'000 : made, prompt_tokens_);
    if (options_.lie == "choice") event["index"] = 7;
    if (probabilities_ > 0) add_logprobs(event, chosen_, candidates_, probabilities_);
    return connection_.event(event.dump());
  }

  bool finish(const char* reason) {
    if (llama_) {
      const bool itself = std::string_view(reason) == "stop";
      const std::size_t made = prefix_.size() - prompt_tokens_;
      const std::size_t said = options_.lie == "usage" ? 0 : made;
      // The end's own token is an event of its own.
      if (itself) {
        const Json end = llama_token("", FakeModel::kEnd, made + 1, prompt_tokens_);
        if (!connection_.event(end.dump())) return false;
      }
      const Json last = llama_last(itself ? "eos" : "limit", itself && said > 0 ? said + 1 : said,
                                   options_.lie == "usage" ? 0 : prompt_tokens_);
      if (options_.bad_sse != "no_done" && !connection_.event(last.dump())) return false;
      return connection_.end_stream();
    }
    whole_ += utf8_replace_invalid(held_);
    if (!streams_) {
      Json choice = {{"index", 0}, {"finish_reason", reason}};
      if (chat_) {
        choice["message"] = {{"role", "assistant"}, {"content", whole_}};
      } else {
        choice["text"] = whole_;
      }
      Json body = head(Json::array({std::move(choice)}));
      body["usage"] = usage(reason);
      return connection_.reply(200, body.dump());
    }
    if (!held_.empty() && !piece(utf8_replace_invalid(held_))) return false;
    Json choice = {{"index", 0}, {"finish_reason", reason}};
    choice[chat_ ? "delta" : "text"] = chat_ ? Json::object() : Json("");
    if (!connection_.event(head(Json::array({std::move(choice)})).dump())) return false;
    if (usage_) {
      Json last = head(Json::array());
      last["usage"] = usage(reason);
      if (!connection_.event(last.dump())) return false;
    }
    if (options_.bad_sse != "no_done" && !connection_.event("[DONE]")) return false;
    return connection_.end_stream();
  }

  Json head(Json choices) const {
    const bool other = options_.lie == "other_id" && prefix_.size() - prompt_tokens_ == 3;
    return {{"id", other ? "cmpl-other" : id_},
            {"object", chat_ ? "chat.completion.chunk" : "text_completion"},
            {"created", 0},
            {"model", options_.model},
            {"choices", std::move(choices)}};
  }
  // The token that ended the answer was generated, too.
  Json usage(std::string_view reason) const {
    const std::size_t made = prefix_.size() - prompt_tokens_ + (reason == "stop" ? 1 : 0);
    const std::size_t said = options_.lie == "usage" ? 0 : made;
    return {{"prompt_tokens", prompt_tokens_},
            {"completion_tokens", said},
            {"total_tokens", prompt_tokens_ + made}};
  }

  const Options& options_;
  Connection& connection_;
  const bool chat_;
  const bool llama_;
  const bool streams_;
  const bool usage_;
  const std::uint64_t max_tokens_;
  const bool ignore_end_;
  const FakeModel model_;
  std::vector<TokenId> prefix_;
  const std::size_t prompt_tokens_;
  const std::string id_;
  backend::SamplingParams sampling_;
  std::uint64_t seed_ = 0;
  std::size_t probabilities_ = 0;
  std::vector<backend::FakeCandidate> candidates_;
  backend::FakeCandidate chosen_;
  std::string held_;   // the beginning of a character
  std::string whole_;  // the text so far
};

Options without_faults(Options options) {
  options.hang_at = options.spin_at = options.sigstop_at = options.die_at = std::nullopt;
  options.die_inside_character = false;
  options.zero_work = 0;
  options.raw.clear();
  options.bad_sse.clear();
  options.lie.clear();
  return options;
}

}  // namespace

std::string error_body(int status, std::string_view type, std::string_view message) {
  return Json{{"error", {{"message", message}, {"type", type}, {"code", status}}}}.dump();
}

bool answer_completion(State& state, Connection& connection, std::string_view body,
                       Dialect dialect) {
  ++state.requests;
  const bool honest =
      static_cast<std::uint64_t>(state.requests.load()) <= state.options.honest_requests;
  const Options options = honest ? without_faults(state.options) : state.options;
  const std::string& lie = options.lie;
  if (lie == "status") {
    return connection.reply(
        500, error_body(500, "server_error",
                        "cannot read /home/somebody/model.gguf from 10.0.0.7:8080\nTraceback"));
  }
  if (lie == "gzip") {
    return connection.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        "Content-Length: 4\r\n\r\n\x1f\x8b\x08");
  }
  if (lie == "health") hang();
  if (lie == "redirect") {
    return connection.send(
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\n"
        "Content-Length: 0\r\n\r\n");
  }
  if (lie == "framing") {
    return connection.send(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  }
  if (lie == "huge_chunk") {
    return connection.send(
               "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\ndata: ") &&
           connection.send(std::string(1 << 16, 'x')) && false;
  }
  if (lie == "huge_head") {
    return connection.send("HTTP/1.1 200 OK\r\nX-Padding: " + std::string(1 << 20, 'x') +
                           "\r\nContent-Length: 0\r\n\r\n");
  }
  if (lie == "interim") {
    while (connection.send("HTTP/1.1 103 Early Hints\r\n\r\n")) {
    }
    return false;
  }
  const Json request = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  const auto prompt = request.is_object() ? prompt_of(request, dialect == Dialect::Chat)
                                          : std::optional<std::vector<TokenId>>();
  if (!prompt) {
    return connection.reply(400, error_body(400, "invalid_request_error", "no prompt"));
  }
  if (prompt->size() >= state.options.context_size) {
    Json error = {{"message", "the request exceeds the available context size"},
                  {"type", "exceed_context_size_error"},
                  {"code", 400},
                  {"n_prompt_tokens", prompt->size()},
                  {"n_ctx", state.options.context_size}};
    return connection.reply(400, Json{{"error", std::move(error)}}.dump());
  }
  ++state.running;
  const bool keep = Answer(state, options, connection, request, dialect, *prompt).run();
  --state.running;
  return keep;
}

}  // namespace minerva::fake_engine
