// Names with numbers in them: "model.layers.{}.mlp" against "model.layers.12.mlp". Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace minerva::models {

// The numbers in the places of `{}`, each of 1 to 6 digits and as it is usually written (no leading
// zero); nothing when the name is another.
std::optional<std::vector<std::uint32_t>> match_name(std::string_view pattern,
                                                     std::string_view name);
// How many numbers the pattern has.
std::size_t places_of(std::string_view pattern);
// The pattern with the first of the numbers in its places.
std::string fill_name(std::string_view pattern, std::span<const std::uint32_t> numbers);

}  // namespace minerva::models
