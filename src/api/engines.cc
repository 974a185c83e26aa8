#include "api/engines.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "api/error_table.h"
#include "api/nearest.h"
#include "backend/engine_name.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::api {
namespace {

using backend::Support;
using wire::Json;

constexpr std::size_t kModelBytesMax = 512;

double seconds(Duration duration) {
  return static_cast<double>(
             std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) /
         1000.0;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// Words of the machine: whole for its owner.
Json words(const std::string& text, Audience audience) {
  return text_or_null(audience == Audience::Owner ? text : client_words(text));
}

std::string_view support_name(Support support) {
  switch (support) {
    case Support::No:
      return "no";
    case Support::BestEffort:
      return "best effort";
    case Support::Yes:
      return "yes";
  }
  return "no";
}

Json capabilities_json(const backend::Capabilities& can) {
  Json out = Json::object();
  const std::pair<const char*, Support> rows[] = {{"generation", can.generation},
                                                  {"token_prompts", can.token_prompts},
                                                  {"text_prompts", can.text_prompts},
                                                  {"chat_only", can.chat_only},
                                                  {"constraints", can.constraints},
                                                  {"logprobs", can.logprobs},
                                                  {"logit_bias", can.logit_bias},
                                                  {"seed", can.seed},
                                                  {"load_invariant", can.load_invariant},
                                                  {"images", can.images},
                                                  {"embeddings", can.embeddings},
                                                  {"tokenize", can.tokenize},
                                                  {"tools", can.tools}};
  for (const auto& [name, support] : rows) out[name] = support_name(support);
  out["choices_max"] = can.choices_max;
  return out;
}

Json instance_json(const serve::InstanceInfo& instance, Audience audience) {
  Json out = {{"model", instance.model},
              {"backend", instance.backend},
              {"state", state_name(instance.state)},
              {"problem", words(instance.problem, audience)},
              {"load_percent", nullptr},
              {"context_size", instance.context_size},
              {"memory_bytes", instance.memory_bytes},
              {"running", instance.running},
              {"waiting", instance.waiting},
              {"pinned", instance.pinned},
              {"idle_seconds", nullptr},
              {"idle_ttl_seconds", nullptr},
              {"breaker", text_or_null(instance.breaker)},
              {"restarts", instance.restarts},
              {"tokens_per_second", instance.tokens_per_second},
              {"loaded_in_seconds", instance.loaded_in_seconds}};
  if (instance.load_percent) out["load_percent"] = *instance.load_percent;
  if (instance.idle) out["idle_seconds"] = seconds(*instance.idle);
  if (instance.idle_ttl) out["idle_ttl_seconds"] = seconds(*instance.idle_ttl);
  if (audience == Audience::Owner) {
    out["pid"] = instance.pid == 0 ? Json(nullptr) : Json(instance.pid);
    out["log"] = instance.last_log_lines;
  }
  return out;
}

Json backend_json(const serve::BackendInfo& info, Audience audience) {
  Json out = {{"name", info.name},
              {"available", info.available},
              {"version", text_or_null(info.version)},
              {"device", text_or_null(info.device)},
              {"why_not", words(info.why_not, audience)},
              {"install", text_or_null(info.install)},
              {"capabilities", capabilities_json(info.can)},
              {"models", info.models},
              {"instances", Json::array()}};
  for (const serve::InstanceInfo& instance : info.instances)
    out["instances"].push_back(instance_json(instance, audience));
  if (audience == Audience::Owner) out["path"] = text_or_null(info.path);
  return out;
}

// These requests are small and new, so what they do not know is refused.
Result<Json> read_call(std::string_view body, std::span<const std::string_view> known) {
  MINERVA_ASSIGN(Json json, wire::parse_json(body));
  MINERVA_TRY(wire::must_be_object(json, "body"));
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::count(known, std::string_view(name)) != 0) continue;
    const auto meant = nearest_name(name, known);
    return fail(ErrorCode::InvalidArgument,
                fmt::format("unknown field {}{}", wire::json_string(name),
                            meant ? fmt::format(" (did you mean '{}'?)", *meant) : ""),
                name);
  }
  return json;
}

Result<std::string> read_model(const Json& json) {
  const Json* const value = wire::find(json, "model");
  if (value == nullptr) return fail(ErrorCode::InvalidArgument, "'model' is required", "model");
  MINERVA_ASSIGN(std::string model, wire::string(*value, "model", kModelBytesMax));
  if (model.empty()) return wire::wrong_value("model", "the name of a model", *value);
  return model;
}

}  // namespace

std::string_view state_name(serve::ModelState state) {
  switch (state) {
    case serve::ModelState::Unloaded:
      return "unloaded";
    case serve::ModelState::Loading:
      return "loading";
    case serve::ModelState::Ready:
      return "ready";
    case serve::ModelState::Unloading:
      return "unloading";
    case serve::ModelState::Failed:
      return "failed";
  }
  return "unknown";
}

std::string backends_body(std::span<const serve::BackendInfo> backends, Audience audience) {
  Json data = Json::array();
  for (const serve::BackendInfo& info : backends) data.push_back(backend_json(info, audience));
  return wire::dump_json({{"object", "list"}, {"data", std::move(data)}});
}

std::string instances_body(std::span<const serve::InstanceInfo> instances, Audience audience) {
  Json data = Json::array();
  for (const serve::InstanceInfo& each : instances) data.push_back(instance_json(each, audience));
  return wire::dump_json({{"object", "list"}, {"data", std::move(data)}});
}

std::string instance_body(const serve::InstanceInfo& instance, Audience audience) {
  return wire::dump_json(instance_json(instance, audience));
}

std::string route_body(const serve::RouteReport& report) {
  Json steps = Json::array();
  for (const serve::RouteStep& step : report.steps) {
    steps.push_back(
        {{"backend", step.backend}, {"usable", step.usable}, {"why", client_words(step.why)}});
  }
  Json body = {{"model", report.model},
               {"backend", text_or_null(report.backend)},
               {"reason", client_words(report.reason)},
               {"steps", std::move(steps)},
               {"prompt_tokens", nullptr}};
  if (report.prompt_tokens != 0) body["prompt_tokens"] = report.prompt_tokens;
  return wire::dump_json(body);
}

Result<LoadCall> parse_load(std::string_view body) {
  constexpr std::string_view kKnown[] = {"model", "backend"};
  MINERVA_ASSIGN(const Json json, read_call(body, kKnown));
  LoadCall call;
  MINERVA_ASSIGN(call.model, read_model(json));
  if (const Json* const value = wire::find(json, "backend")) {
    MINERVA_ASSIGN(std::string name, wire::string(*value, "backend", backend::kEngineNameBytesMax));
    if (name == "auto") return call;
    if (!backend::is_engine_name(name))
      return wire::wrong_value("backend", "the name of an engine, or auto", *value);
    call.backend = std::move(name);
  }
  return call;
}

Result<UnloadCall> parse_unload(std::string_view body) {
  constexpr std::string_view kKnown[] = {"model", "now"};
  MINERVA_ASSIGN(const Json json, read_call(body, kKnown));
  UnloadCall call;
  MINERVA_ASSIGN(call.model, read_model(json));
  if (const Json* const value = wire::find(json, "now")) {
    MINERVA_ASSIGN(call.now, wire::boolean(*value, "now"));
  }
  return call;
}

}  // namespace minerva::api
