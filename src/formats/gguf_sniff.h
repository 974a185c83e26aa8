// What a file that does not begin with "GGUF" probably is, so that the error can say what to do.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace minerva::formats {

// A whole sentence without its full stop, such as "the file is empty".
std::string what_it_is_instead(std::span<const std::byte> bytes);

}  // namespace minerva::formats
