#include "wire/fields.h"

#include <fmt/core.h>

#include <cmath>

namespace minerva::wire {
namespace {

// A field's name may come from the client (messages[0].X): it is quoted, not trusted.
constexpr std::size_t kShownBytesMax = 40;

std::string number_text(double value) { return fmt::format("{}", value); }

}  // namespace

std::string describe(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      std::string shown = text.substr(0, kShownBytesMax);
      if (shown.size() < text.size()) shown += "...";
      return fmt::format("the string {}", json_string(shown));
    }
    default:
      return dump_json(value);
  }
}

std::unexpected<Error> wrong_value(std::string_view field, std::string_view wanted,
                                   const Json& value) {
  return fail(ErrorCode::InvalidArgument,
              fmt::format("'{}' must be {}, got {}", field, wanted, describe(value)),
              std::string(field));
}

std::unexpected<Error> outside_range(const Json& value, std::string_view field,
                                     std::string_view min, std::string_view max) {
  return wrong_value(field, fmt::format("an integer from {} to {}", min, max), value);
}

std::optional<JsonInteger> exact_integer(const Json& value) {
  if (value.is_number_unsigned()) return JsonInteger{false, value.get<std::uint64_t>()};
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    return JsonInteger{number < 0, static_cast<std::uint64_t>(number)};
  }
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (!(std::abs(number) <= kExactMax) || std::trunc(number) != number) return std::nullopt;
  const auto integer = static_cast<std::int64_t>(number);
  return JsonInteger{integer < 0, static_cast<std::uint64_t>(integer)};
}

Result<double> bounded_double(const Json& value, std::string_view field, Range<double> range) {
  if (value.is_number()) {
    const auto number = value.get<double>();
    const bool low = range.above_min ? number <= range.min : number < range.min;
    if (std::isfinite(number) && !low && number <= range.max) return number;
  }
  return wrong_value(field,
                     fmt::format("a number {} {} {} {}", range.above_min ? "above" : "from",
                                 number_text(range.min), range.above_min ? "and up to" : "to",
                                 number_text(range.max)),
                     value);
}

Result<float> bounded_float(const Json& value, std::string_view field, Range<double> range) {
  MINERVA_ASSIGN(const double number, bounded_double(value, field, range));
  const auto narrow = static_cast<float>(number);
  if (range.above_min && narrow <= static_cast<float>(range.min)) {
    return wrong_value(field, fmt::format("further above {}", number_text(range.min)), value);
  }
  return narrow;
}

Result<bool> boolean(const Json& value, std::string_view field) {
  if (!value.is_boolean()) return wrong_value(field, "true or false", value);
  return value.get<bool>();
}

Result<std::string> string(const Json& value, std::string_view field, std::size_t bytes_max) {
  if (!value.is_string()) return wrong_value(field, "a string", value);
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > bytes_max) {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' may have {} bytes, got {}", field, bytes_max, text.size()),
                std::string(field));
  }
  return text;
}

Result<void> must_be_object(const Json& value, std::string_view field) {
  if (!value.is_object()) return wrong_value(field, "an object", value);
  return {};
}

Result<void> must_be_array(const Json& value, std::string_view field) {
  if (!value.is_array()) return wrong_value(field, "an array", value);
  return {};
}

const Json* find(const Json& object, std::string_view key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return nullptr;
  return &*it;
}

}  // namespace minerva::wire
