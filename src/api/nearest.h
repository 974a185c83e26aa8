// The known name that someone who mistyped probably meant. Pure function; any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace minerva::api {

// Nothing when no name is within a third of its length (and at least one) insertions, deletions or
// replacements. Names longer than 64 bytes are near nothing.
std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> known);

}  // namespace minerva::api
