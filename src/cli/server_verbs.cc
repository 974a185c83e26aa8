// The verbs that ask the running server: ps, load, unload, route.
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>

#include "base/log.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "http/client.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

using wire::Json;

constexpr auto kLookTime = std::chrono::seconds(10);
constexpr std::size_t kAnswerBytesMax = std::size_t{8} << 20;

std::string text_of(const Json& json, std::string_view key) {
  const Json* const value = json.is_object() ? wire::find(json, key) : nullptr;
  return value != nullptr && value->is_string() ? escape_controls(value->get<std::string>()) : "";
}

double number_of(const Json& json, std::string_view key) {
  const Json* const value = json.is_object() ? wire::find(json, key) : nullptr;
  return value != nullptr && value->is_number() ? value->get<double>() : 0;
}

bool has(const Json& json, std::string_view key) {
  return json.is_object() && wire::find(json, key) != nullptr;
}

bool flag_of(const Json& json, std::string_view key) {
  const Json* const value = json.is_object() ? wire::find(json, key) : nullptr;
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::uint64_t bytes_of(const Json& json, std::string_view key) {
  const Json* const value = json.is_object() ? wire::find(json, key) : nullptr;
  const auto integer = value == nullptr ? std::nullopt : wire::exact_integer(*value);
  return integer && !integer->negative ? integer->bits : 0;
}

Result<Json> answer_of(const http::Response& response) {
  auto json = wire::parse_json(response.body);
  if (response.head.status == 200 && json) return json;
  const Json* const error = json && json->is_object() ? wire::find(*json, "error") : nullptr;
  const std::string said = error == nullptr ? "" : text_of(*error, "message");
  if (!said.empty()) return fail(ErrorCode::InvalidArgument, said);
  return fail(ErrorCode::Unavailable,
              fmt::format("the server answered with status {}: is it another program, or an older "
                          "Minerva?",
                          response.head.status));
}

// `body`: none for a GET.
Result<Json> ask(const Context& context, std::string_view path, std::optional<std::string> body,
                 Duration time_max) {
  http::ClientOptions options;
  options.host = reachable_host(context.settings().host);
  options.port = static_cast<unsigned>(context.settings().port);
  options.read_timeout = time_max;
  options.body_bytes_max = kAnswerBytesMax;
  const http::Client client(options);
  auto response = body ? client.post_json(path, *body) : client.get(path);
  if (response) return answer_of(*response);
  Error error = std::move(response).error();
  if (error.code != ErrorCode::Unavailable) return fail(std::move(error));
  error.message = fmt::format("no server answers at {}:{}; start one with `minerva serve`",
                              options.host, options.port);
  return fail(std::move(error));
}

std::string time_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.0f}s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f}m", seconds / 60);
  return fmt::format("{:.1f}h", seconds / 3600);
}

std::string instance_line(const Json& each) {
  std::string notes;
  const auto note = [&](const std::string& text) {
    if (!text.empty()) notes += (notes.empty() ? "" : "; ") + text;
  };
  if (flag_of(each, "pinned")) note("pinned");
  if (const std::string breaker = text_of(each, "breaker"); breaker != "closed" && !breaker.empty())
    note("breaker " + breaker);
  if (number_of(each, "restarts") > 0)
    note(fmt::format("{:.0f} restarts", number_of(each, "restarts")));
  note(text_of(each, "problem"));
  const double rate = number_of(each, "tokens_per_second");
  std::string state = text_of(each, "state");
  if (has(each, "load_percent")) {
    state += fmt::format(" {:.0f}%", number_of(each, "load_percent"));
  }
  return fmt::format("{:30} {:14} {:12} {:>8.0f} {:>10} {:>4.0f} {:>5.0f} {:>6} {:>7}  {}\n",
                     text_of(each, "model"), text_of(each, "backend"), state,
                     number_of(each, "context_size"), size_text(bytes_of(each, "memory_bytes")),
                     number_of(each, "running"), number_of(each, "waiting"),
                     has(each, "idle_seconds") ? time_text(number_of(each, "idle_seconds")) : "-",
                     rate > 0 ? fmt::format("{:.1f}", rate) : "-", notes);
}

std::string instances_text(const Json& answer) {
  const Json* const data = wire::find(answer, "data");
  if (data == nullptr || !data->is_array() || data->empty()) return "no model is loaded\n";
  std::string out =
      fmt::format("{:30} {:14} {:12} {:>8} {:>10} {:>4} {:>5} {:>6} {:>7}\n", "MODEL", "ENGINE",
                  "STATE", "CONTEXT", "MEMORY", "RUN", "QUEUE", "IDLE", "TOK/S");
  for (const Json& each : *data) out += instance_line(each);
  return out;
}

std::string route_text(const Json& answer) {
  const std::string engine = text_of(answer, "backend");
  std::string out =
      fmt::format("{}: {}{}\n", text_of(answer, "model"), engine.empty() ? "no engine" : engine,
                  has(answer, "reason") ? ", " + text_of(answer, "reason") : "");
  const Json* const steps = wire::find(answer, "steps");
  if (steps == nullptr || !steps->is_array()) return out;
  for (const Json& step : *steps) {
    out += fmt::format("  {} {:14} {}\n", flag_of(step, "usable") ? "+" : "-",
                       text_of(step, "backend"), text_of(step, "why"));
  }
  return out;
}

Result<void> write_answer(const Json& answer, bool json, std::string (*words)(const Json&)) {
  return write_out(json ? wire::dump_json(answer) + "\n" : words(answer));
}

}  // namespace

Result<void> list_instances(const Context& context, const PsOptions& options) {
  MINERVA_ASSIGN(const Json answer, ask(context, "/v1/ps", std::nullopt, kLookTime));
  if (!answer.is_object()) return fail(ErrorCode::Unavailable, "the server's answer is no object");
  return write_answer(answer, options.json, instances_text);
}

Result<void> load_on_server(const Context& context, const LoadOptions& options) {
  Json body = {{"model", options.model}};
  if (!options.engine.empty()) body["backend"] = options.engine;
  // The server's own deadline comes first, so that its reason is heard.
  const Duration wait = std::chrono::seconds(context.settings().load_wait_seconds) + kLookTime;
  if (is_terminal(kStderr)) tell("loading …");
  const auto answer = ask(context, "/v1/models/load", wire::dump_json(body), wait);
  if (is_terminal(kStderr)) tell("\r\x1b[K");
  if (!answer) return fail(answer.error());
  return write_answer(*answer, options.json, [](const Json& loaded) {
    return fmt::format("{} is loaded on {}: {}, context {:.0f}\n", text_of(loaded, "model"),
                       text_of(loaded, "backend"), size_text(bytes_of(loaded, "memory_bytes")),
                       number_of(loaded, "context_size"));
  });
}

Result<void> unload_on_server(const Context& context, const UnloadOptions& options) {
  const Json body = {{"model", options.model}, {"now", options.now}};
  const Duration wait = std::chrono::seconds(context.settings().load_wait_seconds) + kLookTime;
  MINERVA_TRY(ask(context, "/v1/models/unload", wire::dump_json(body), wait));
  return write_out(fmt::format("{} is unloaded\n", escape_controls(options.model)));
}

Result<void> explain_route(const Context& context, const RouteOptions& options) {
  Json body = {{"model", options.model}};
  if (options.prompt.empty()) {
    body["prompt"] = "";
  } else {
    body["messages"] = Json::array();
    body["messages"].push_back({{"role", "user"}, {"content", options.prompt}});
  }
  if (!options.engine.empty()) body["backend"] = options.engine;
  MINERVA_ASSIGN(const Json answer, ask(context, "/v1/route", wire::dump_json(body), kLookTime));
  if (!answer.is_object()) return fail(ErrorCode::Unavailable, "the server's answer is no object");
  return write_answer(answer, options.json, route_text);
}

}  // namespace minerva::cli
