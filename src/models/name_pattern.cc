#include "models/name_pattern.h"

#include <charconv>

namespace minerva::models {
namespace {

constexpr std::string_view kPlace = "{}";
constexpr std::size_t kDigitsMax = 6;

}  // namespace

std::optional<std::vector<std::uint32_t>> match_name(std::string_view pattern,
                                                     std::string_view name) {
  std::vector<std::uint32_t> numbers;
  for (;;) {
    const std::size_t place = pattern.find(kPlace);
    const std::string_view fixed = pattern.substr(0, place);
    if (place == std::string_view::npos) {
      if (name != fixed) return std::nullopt;
      return numbers;
    }
    if (!name.starts_with(fixed)) return std::nullopt;
    name.remove_prefix(fixed.size());
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const auto digits = static_cast<std::size_t>(end - name.data());
    if (error != std::errc{} || digits > kDigitsMax || (digits > 1 && name.front() == '0'))
      return std::nullopt;
    numbers.push_back(number);
    name.remove_prefix(digits);
    pattern.remove_prefix(place + kPlace.size());
  }
}

std::size_t places_of(std::string_view pattern) {
  std::size_t places = 0;
  for (std::size_t at = pattern.find(kPlace); at != std::string_view::npos;
       at = pattern.find(kPlace, at + kPlace.size()))
    ++places;
  return places;
}

std::string fill_name(std::string_view pattern, std::span<const std::uint32_t> numbers) {
  std::string out;
  for (const std::uint32_t number : numbers) {
    const std::size_t place = pattern.find(kPlace);
    if (place == std::string_view::npos) break;
    out += pattern.substr(0, place);
    out += std::to_string(number);
    pattern.remove_prefix(place + kPlace.size());
  }
  out += pattern;
  return out;
}

}  // namespace minerva::models
