#include "models/config_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/log.h"

namespace minerva::models {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kCountMax = (std::uint64_t{1} << 31) - 1;
constexpr double kFloatMax = std::numeric_limits<float>::max();
constexpr std::size_t kShownBytesMax = 80;

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kShownBytesMax ? text : text.substr(0, kShownBytesMax) + "…";
}

}  // namespace

const Json* ConfigReader::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  const auto at = object_->find(key);
  return at == object_->end() || at->is_null() ? nullptr : &*at;
}

std::unexpected<Error> ConfigReader::refuse(std::string_view key, std::string_view what) const {
  const Json* value = find(key);
  return fail(ErrorCode::InvalidModel,
              fmt::format("{}: {} {}{}", where_, key, what,
                          value == nullptr ? ", and it is missing" : ", it is " + shown(*value)),
              std::string(key));
}

Result<std::uint32_t> ConfigReader::count(std::string_view key) const {
  const Json* value = find(key);
  // A default that we set has a sign; what the parser read without one has none.
  const bool counts = value != nullptr && value->is_number_integer() &&
                      (value->is_number_unsigned() || value->get<std::int64_t>() > 0);
  const std::uint64_t number = counts ? value->get<std::uint64_t>() : 0;
  if (number == 0 || number > kCountMax)
    return refuse(key, fmt::format("must be a whole number from 1 to {}", kCountMax));
  return static_cast<std::uint32_t>(number);
}

Result<std::uint32_t> ConfigReader::count_or(std::string_view key, std::uint32_t otherwise) const {
  if (!has(key)) return otherwise;
  return count(key);
}

Result<std::uint32_t> ConfigReader::count_or_none(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || *value == 0) return 0U;
  return count(key);
}

Result<std::uint32_t> ConfigReader::count_of(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (has(key)) return count(key);
  }
  return count(*keys.begin());
}

Result<double> ConfigReader::number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>()))
    return refuse(key, "must be a number");
  return value->get<double>();
}

Result<double> ConfigReader::number_or(std::string_view key, double otherwise) const {
  if (!has(key)) return otherwise;
  return number(key);
}

Result<bool> ConfigReader::flag_or(std::string_view key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return refuse(key, "must be true or false");
  return value->get<bool>();
}

Result<std::string> ConfigReader::text_or(std::string_view key, std::string_view otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_string()) return refuse(key, "must be a text");
  return value->get<std::string>();
}

Result<std::vector<std::string>> ConfigReader::texts(std::string_view key) const {
  std::vector<std::string> out;
  const Json* value = find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) return refuse(key, "must be a list of texts");
  for (const Json& one : *value) {
    if (!one.is_string()) return refuse(key, "must be a list of texts");
    out.push_back(one.get<std::string>());
  }
  return out;
}

Result<std::vector<float>> ConfigReader::numbers(std::string_view key) const {
  std::vector<float> out;
  const Json* value = find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) return refuse(key, "must be a list of numbers");
  for (const Json& one : *value) {
    // As what it is kept in: 1e300 is finite, and no such float.
    const bool fits = one.is_number() && std::abs(one.get<double>()) <= kFloatMax;
    if (!fits) return refuse(key, "must be a list of numbers");
    out.push_back(static_cast<float>(one.get<double>()));
  }
  return out;
}

const Json* ConfigReader::object(std::string_view key) const {
  const Json* value = find(key);
  return value != nullptr && value->is_object() ? value : nullptr;
}

}  // namespace minerva::models
