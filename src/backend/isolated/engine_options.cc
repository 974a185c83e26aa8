#include "backend/isolated/engine_options.h"

#include <fmt/core.h>

#include <charconv>
#include <string_view>
#include <system_error>

namespace minerva::backend {
namespace {

template <class T>
Result<void> read_number(std::string_view flag, const std::string& text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc{} && at == end && !text.empty()) return {};
  return fail(ErrorCode::InvalidArgument, fmt::format("{} is {}, not a number", flag, text),
              std::string(flag));
}

Result<void> read(std::string_view flag, const std::string& value, EngineOptions& options) {
  if (flag == "--socket") {
    options.socket = value;
  } else if (flag == "--model") {
    options.model = value;
  } else if (flag == "--name") {
    options.name = value;
  } else if (flag == "--isa") {
    options.isa = value;
  } else if (flag == "--numerics") {
    options.numerics = value;
  } else if (flag == "--context") {
    return read_number(flag, value, options.context);
  } else if (flag == "--context-default") {
    return read_number(flag, value, options.context_default);
  } else if (flag == "--kv-bytes") {
    return read_number(flag, value, options.kv_bytes_max);
  } else if (flag == "--waiting") {
    return read_number(flag, value, options.waiting_max);
  } else if (flag == "--threads") {
    return read_number(flag, value, options.threads);
  } else {
    return fail(ErrorCode::InvalidArgument, fmt::format("{} is no option of an engine", flag),
                std::string(flag));
  }
  return {};
}

}  // namespace

std::vector<std::string> to_arguments(const EngineOptions& options) {
  return {"--socket",
          options.socket,
          "--model",
          options.model,
          "--name",
          options.name,
          "--context",
          std::to_string(options.context),
          "--context-default",
          std::to_string(options.context_default),
          "--kv-bytes",
          std::to_string(options.kv_bytes_max),
          "--waiting",
          std::to_string(options.waiting_max),
          "--threads",
          std::to_string(options.threads),
          "--isa",
          options.isa,
          "--numerics",
          options.numerics};
}

Result<EngineOptions> parse_engine_options(std::span<const std::string> arguments) {
  EngineOptions options;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) {
      return fail(ErrorCode::InvalidArgument, fmt::format("{} has no value", arguments[i]),
                  arguments[i]);
    }
    MINERVA_TRY(read(arguments[i], arguments[i + 1], options));
  }
  for (const auto& [flag, value] :
       {std::pair<const char*, const std::string&>{"--socket", options.socket},
        {"--model", options.model}}) {
    if (value.empty() || value.front() != '/') {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("{} must be an absolute path, got \"{}\"", flag, value), flag);
    }
  }
  if (options.numerics != "exact" && options.numerics != "f32") {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("--numerics is {}, but must be exact or f32", options.numerics),
                "--numerics");
  }
  return options;
}

}  // namespace minerva::backend
