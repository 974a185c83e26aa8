#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/utf8.h"

namespace minerva {
namespace {

std::atomic<LogLevel> current_level{LogLevel::Info};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "minerva", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

bool hostile(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

}  // namespace

void set_log_level(LogLevel level) { current_level.store(level); }
LogLevel log_level() { return current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view message) {
  const std::string line = escape_controls(message);
  switch (level) {
    case LogLevel::Debug:
      logger().debug("{}", line);
      break;
    case LogLevel::Info:
      logger().info("{}", line);
      break;
    case LogLevel::Warning:
      logger().warn("{}", line);
      break;
    case LogLevel::Error:
      logger().error("{}", line);
      break;
    case LogLevel::Off:
      break;
  }
}

std::string escape_controls(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = utf8_next(text);
    if (!c.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (hostile(c.code_point) &&
               !(keep_newlines && (c.code_point == '\n' || c.code_point == '\t'))) {
      out += c.code_point < 0x80
                 ? fmt::format("\\x{:02x}", static_cast<unsigned>(c.code_point))
                 : fmt::format("\\u{{{:04x}}}", static_cast<unsigned>(c.code_point));
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

}  // namespace minerva
