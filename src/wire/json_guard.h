// JSON from outside: checked in one flat pass before anything recursive sees it (nlohmann parses
// without recursion, but copies, compares and dumps with it). Used on request bodies, on what
// engines answer, and on tool arguments that a model wrote. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::wire {

// Keeps the order of keys: chat templates print what clients sent.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::size_t depth_max = 64;          // arrays and objects inside each other
  std::size_t keys_max = 10'000;       // in the whole text; in one object 10,000 always
  std::size_t values_max = 1'000'000;  // in the whole text: 3 bytes of "[]," become 48 in memory
};

// Refuses what is not RFC 8259 JSON in valid UTF-8, duplicate keys, numbers no double can hold, and
// what is past the limits. The message says line, column and byte; param is the path to the place
// ("messages[3].content"), empty at the top. A leading byte order mark is allowed.
Result<void> check_json(std::string_view text, const JsonLimits& limits = {});

// check_json, then the value.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// One line of JSON; invalid UTF-8 inside strings becomes U+FFFD, so this never throws.
std::string dump_json(const Json& value);

// A JSON string literal, quotes included, with the same rule.
std::string json_string(std::string_view text);

}  // namespace minerva::wire
