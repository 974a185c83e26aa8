// Whether a character is of the script Han.
#pragma once

namespace minerva::text {

bool is_han(char32_t code_point);

}  // namespace minerva::text
