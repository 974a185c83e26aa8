// The bodies of what is Minerva's own: engines, loaded models, routes; and of the requests to load
// and unload. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/types.h"

namespace minerva::api {

// What is shown: paths, process ids and the engines' own words are for the machine's owner only.
enum class Audience : std::uint8_t { Client, Owner };

std::string_view state_name(serve::ModelState state);

std::string backends_body(std::span<const serve::BackendInfo> backends, Audience audience);
std::string instances_body(std::span<const serve::InstanceInfo> instances, Audience audience);
std::string instance_body(const serve::InstanceInfo& instance, Audience audience);
std::string route_body(const serve::RouteReport& report);

// {"model", "backend"?}
struct LoadCall {
  std::string model;
  std::optional<std::string> backend;
};
Result<LoadCall> parse_load(std::string_view body);

// {"model", "now"?}
struct UnloadCall {
  std::string model;
  bool now = false;
};
Result<UnloadCall> parse_unload(std::string_view body);

}  // namespace minerva::api
