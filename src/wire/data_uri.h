// RFC 2397 data: URIs with base64, as pictures come inside requests. The declared type is only
// what the client says; a decoder sniffs. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::wire {

struct DataUri {
  std::string media_type;  // lower case, without parameters: "image/png"
  std::string bytes;
};

// At most `bytes_max` decoded bytes, checked before anything is allocated.
Result<DataUri> parse_data_uri(std::string_view uri, std::size_t bytes_max);

// Standard alphabet, padded.
std::string base64_encode(std::string_view bytes);
// The same backwards; nothing when `text` is anything else.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace minerva::wire
