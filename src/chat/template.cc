#include "chat/template.h"

#include <fmt/core.h>
#include <minerva_rust.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "chat/local_time.h"

namespace minerva::chat {
namespace {

// Text of the Rust library, freed with it.
class RustText {
 public:
  RustText() = default;
  ~RustText() { minerva_text_free(text_); }
  RustText(const RustText&) = delete;
  RustText& operator=(const RustText&) = delete;
  MinervaText* out() { return &text_; }
  std::string str() const {
    return {reinterpret_cast<const char*>(text_.data), text_.data ? text_.size : 0};
  }

 private:
  MinervaText text_{nullptr, 0};
};

// Probing renders two short messages; published templates take 2,000 units at most for that, and a
// hostile one is not to use up its budget eight times before it is even asked.
constexpr std::uint64_t kProbeFuel = 50'000;

const std::uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// Writing JSON recurses, so its depth is known before. This walk does not recurse.
bool within_depth(const Json& root, std::uint32_t depth_max) {
  std::vector<std::pair<const Json*, std::uint32_t>> open{{&root, 1}};
  while (!open.empty()) {
    const auto [value, depth] = open.back();
    open.pop_back();
    if (!value->is_structured()) continue;
    if (depth > depth_max) return false;
    for (const Json& child : *value) open.emplace_back(&child, depth + 1);
  }
  return true;
}

// The context as bytes, without `now`, which is not a variable of the template.
Result<std::string> write_context(const Json& context) {
  std::string text = "{";
  try {
    for (const auto& [key, value] : context.items()) {
      if (key == "now") continue;
      if (text.size() > 1) text += ',';
      text += Json(key).dump();
      text += ':';
      text += value.dump();
    }
  } catch (const Json::exception&) {  // the only one: a string that is not UTF-8
    return fail(ErrorCode::InvalidArgument, "a message contains invalid UTF-8", "messages");
  }
  text += '}';
  return text;
}

Result<MinervaLocalTime> time_of(const Json& context, std::optional<std::int64_t> now) {
  const auto found = context.find("now");
  if (found == context.end() || found->is_null()) {
    return local_time(now.value_or(machine_epoch_seconds()));
  }
  if (found->is_string()) return parse_local_time(found->get_ref<const std::string&>());
  if (found->is_number_integer()) return local_time(found->get<std::int64_t>());
  if (found->is_number()) {
    const double seconds = found->get<double>();
    // Past this no calendar has a year for it, and the cast would not be defined.
    if (seconds > -1e12 && seconds < 1e12) return local_time(static_cast<std::int64_t>(seconds));
  }
  return fail(ErrorCode::InvalidArgument, "now must be a number of seconds or a date", "now");
}

Error render_error(std::int32_t status, std::string message) {
  if (status == kMinervaTemplatePanic) {
    return {ErrorCode::Internal, "the template engine failed: " + message};
  }
  if (status == kMinervaTemplateRaised) {
    return {ErrorCode::InvalidArgument, "the model's chat template refuses: " + message,
            "messages"};
  }
  return {ErrorCode::InvalidArgument, "the model's chat template failed: " + message, "messages"};
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, MinervaTemplate* compiled)
    : source_(std::move(source)), compiled_(compiled) {}

ChatTemplate::~ChatTemplate() { minerva_template_free(compiled_); }

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::compile(std::string source,
                                                                  TemplateLimits limits) {
  MinervaTemplate* compiled = nullptr;
  RustText message;
  const std::int32_t status =
      minerva_template_compile(bytes_of(source), source.size(), &compiled, message.out());
  if (status != kMinervaTemplateOk) {
    return fail(status == kMinervaTemplatePanic ? ErrorCode::Internal : ErrorCode::InvalidModel,
                "the chat template does not compile: " + message.str(), "chat_template");
  }
  std::shared_ptr<ChatTemplate> made(new ChatTemplate(std::move(source), compiled));
  made->limits_.fuel_base = kProbeFuel;
  made->traits_ = probe_traits(*made);
  made->limits_ = limits;
  return made;
}

Result<std::string> ChatTemplate::render(const Json& context,
                                         std::optional<std::int64_t> now_epoch_seconds) const {
  if (!context.is_object()) {
    return fail(ErrorCode::InvalidArgument, "a template's context must be a JSON object");
  }
  if (!within_depth(context, limits_.context_depth_max)) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("the conversation nests deeper than {} levels", limits_.context_depth_max),
        "messages");
  }
  MINERVA_ASSIGN(const MinervaLocalTime now, time_of(context, now_epoch_seconds));
  MINERVA_ASSIGN(const std::string bytes, write_context(context));
  const MinervaTemplateLimits limits{
      .fuel = std::min(limits_.fuel_max,
                       limits_.fuel_base + limits_.fuel_per_context_byte * bytes.size()),
      .output_bytes =
          limits_.output_bytes_base + limits_.output_bytes_per_context_byte * bytes.size(),
      .recursion = limits_.recursion_max};
  RustText out;
  const std::int32_t status =
      minerva_template_render(compiled_, bytes_of(bytes), bytes.size(), &now, &limits, out.out());
  if (status != kMinervaTemplateOk) return fail(render_error(status, out.str()));
  return out.str();
}

}  // namespace minerva::chat
