#include "api/openai/logprobs.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

// What OpenAI writes for a token that cannot come (JSON has no -Infinity).
constexpr double kImpossible = -9999.0;

// The shortest decimal that reads back as this float: -0.1, not -0.10000000149011612.
double shortest(float value) {
  const std::string text = fmt::format("{}", value);
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

double json_logprob(std::optional<float> logprob) {
  if (!logprob || !std::isfinite(*logprob)) return kImpossible;
  return shortest(*logprob);
}

Json byte_list(std::string_view bytes) {
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

Json chat_entry(const std::string& bytes, std::optional<float> logprob) {
  return {{"token", utf8_replace_invalid(bytes)},
          {"logprob", json_logprob(logprob)},
          {"bytes", byte_list(bytes)}};
}

std::string completion_token(const std::string& bytes) {
  if (utf8_valid(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

// Characters that begin in these bytes; the pieces of one character count once.
std::uint64_t characters(std::string_view bytes) {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

Json empty_chat_logprobs() { return {{"content", Json::array()}, {"refusal", nullptr}}; }

void add_chat_logprobs(Json& to, const std::vector<backend::TokenEvent>& tokens) {
  for (const backend::TokenEvent& token : tokens) {
    Json entry = chat_entry(token.bytes, token.logprob);
    Json top = Json::array();
    for (const auto& other : token.top) top.push_back(chat_entry(other.bytes, other.logprob));
    entry["top_logprobs"] = std::move(top);
    to["content"].push_back(std::move(entry));
  }
}

Json empty_completion_logprobs(bool with_top) {
  return {{"tokens", Json::array()},
          {"token_logprobs", Json::array()},
          {"top_logprobs", with_top ? Json::array() : Json(nullptr)},
          {"text_offset", Json::array()}};
}

void add_completion_logprobs(Json& to, const std::vector<backend::TokenEvent>& tokens,
                             std::uint64_t& text_offset) {
  for (const backend::TokenEvent& token : tokens) {
    to["tokens"].push_back(completion_token(token.bytes));
    to["token_logprobs"].push_back(json_logprob(token.logprob));
    to["text_offset"].push_back(text_offset);
    text_offset += characters(token.bytes);
    if (!to["top_logprobs"].is_array()) continue;
    Json top = Json::object();
    for (const auto& other : token.top) {
      const std::string name = completion_token(other.bytes);
      if (!top.contains(name)) top[name] = json_logprob(other.logprob);  // the likeliest stays
    }
    to["top_logprobs"].push_back(std::move(top));
  }
}

}  // namespace minerva::api::openai
