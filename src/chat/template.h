// A model's chat template, compiled once and rendered as Hugging Face's Python does it
// (docs/templates.md). The template is a program out of a downloaded file and is not trusted: it
// opens nothing, and every render has a budget. Immutable; any thread, several at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/template_traits.h"

struct MinervaTemplate;

namespace minerva::chat {

using Json = nlohmann::ordered_json;

// What one render may use (docs/templates.md has the measurements behind the figures).
struct TemplateLimits {
  std::uint64_t fuel_base = 500'000;
  std::uint64_t fuel_per_context_byte = 50;
  // A unit of fuel also stands for 64 bytes of memory, so it does not grow without end.
  std::uint64_t fuel_max = 50'000'000;
  // Room for what a template itself says: the longest known one says 4 KB.
  std::uint64_t output_bytes_base = 64 << 10;
  std::uint64_t output_bytes_per_context_byte = 4;
  // A loop counts 1 and a macro call 5; printing a tool's nested schema takes 9 a level.
  std::uint64_t recursion_max = 200;
  // As everywhere for JSON from outside, and a few levels for what wraps it.
  std::uint32_t context_depth_max = 72;
};

class ChatTemplate {
 public:
  // A source that does not compile is InvalidModel, with the line.
  static Result<std::shared_ptr<const ChatTemplate>> compile(std::string source,
                                                             TemplateLimits limits = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // `context` is an object; each member is a variable of the template. Its `now`, where there is
  // one, is the time that strftime_now sees: seconds since 1970, or "2026-01-31T12:00:00"; else it
  // is `now_epoch_seconds`, else the machine's clock. Whatever the template refuses, by
  // raise_exception or by failing, is InvalidArgument with its message.
  Result<std::string> render(const Json& context,
                             std::optional<std::int64_t> now_epoch_seconds = {}) const;

  const std::string& source() const { return source_; }
  const TemplateTraits& traits() const { return traits_; }

 private:
  ChatTemplate(std::string source, MinervaTemplate* compiled);

  std::string source_;
  MinervaTemplate* compiled_;
  TemplateLimits limits_ = {};
  TemplateTraits traits_;
};

}  // namespace minerva::chat
