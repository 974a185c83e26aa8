// The composed form of Unicode (NFC), which some vocabularies were trained with.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace minerva::text {

// What `text` is in this form; none when it is in it already. Bytes that are not UTF-8 stay.
std::optional<std::string> nfc(std::string_view text);

}  // namespace minerva::text
