#include "chat/local_time.h"

#include <fmt/core.h>
#include <minerva_rust.h>

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>

namespace minerva::chat {
namespace {

// Reads exactly `digits` digits off the front of `text`.
bool take_number(std::string_view& text, std::size_t digits, std::int32_t& out) {
  if (text.size() < digits) return false;
  const char* end = text.data() + digits;
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  if (error != std::errc{} || stop != end || out < 0) return false;
  text.remove_prefix(digits);
  return true;
}

bool take_char(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

bool take_date(std::string_view& text, MinervaLocalTime& time) {
  return take_number(text, 4, time.year) && take_char(text, '-') &&
         take_number(text, 2, time.month) && take_char(text, '-') && take_number(text, 2, time.day);
}

bool take_clock(std::string_view& text, MinervaLocalTime& time) {
  if (text.empty()) return true;
  if (!take_char(text, 'T') && !take_char(text, ' ')) return false;
  if (!take_number(text, 2, time.hour) || !take_char(text, ':') ||
      !take_number(text, 2, time.minute)) {
    return false;
  }
  if (take_char(text, ':') && !take_number(text, 2, time.second)) return false;
  if (take_char(text, '.')) {
    std::int32_t scale = 100'000;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      time.microsecond += (text.front() - '0') * scale;
      scale /= 10;
      text.remove_prefix(1);
    }
  }
  if (time.hour > 23 || time.minute > 59 || time.second > 60) return false;
  // A zone: Z, +01:00, -0530.
  if (take_char(text, 'Z')) return text.empty();
  return text.empty() || ((text.front() == '+' || text.front() == '-') && text.size() <= 6);
}

MinervaLocalTime from_tm(const std::tm& parts, std::int64_t epoch_seconds) {
  return {.year = parts.tm_year + 1900,
          .month = parts.tm_mon + 1,
          .day = parts.tm_mday,
          .hour = parts.tm_hour,
          .minute = parts.tm_min,
          .second = parts.tm_sec,
          .microsecond = 0,
          .weekday = parts.tm_wday,
          .day_of_year = parts.tm_yday + 1,
          .epoch_seconds = epoch_seconds};
}

}  // namespace

std::int64_t machine_epoch_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Result<MinervaLocalTime> local_time(std::int64_t epoch_seconds) {
  const std::time_t time = epoch_seconds;
  std::tm parts{};
  if (localtime_r(&time, &parts) == nullptr) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("now is {} seconds since 1970, which is no date", epoch_seconds),
                "now");
  }
  return from_tm(parts, epoch_seconds);
}

Result<MinervaLocalTime> parse_local_time(std::string_view text) {
  MinervaLocalTime time{};
  std::string_view rest = text;
  const bool read = take_date(rest, time) && take_clock(rest, time);
  using namespace std::chrono;
  const year_month_day date{year{time.year}, month{static_cast<unsigned>(time.month)},
                            day{static_cast<unsigned>(time.day)}};
  if (!read || !date.ok()) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("now is \"{}\"; it should look like 2026-01-31T12:00:00 or be a number "
                            "of seconds since 1970",
                            text.substr(0, 64)),
                "now");
  }
  const sys_days days{date};
  time.weekday = static_cast<std::int32_t>(weekday{days}.c_encoding());
  time.day_of_year =
      static_cast<std::int32_t>((days - sys_days{date.year() / January / 1}).count()) + 1;
  time.epoch_seconds = days.time_since_epoch().count() * std::int64_t{86400} + time.hour * 3600 +
                       time.minute * 60 + time.second;
  return time;
}

}  // namespace minerva::chat
