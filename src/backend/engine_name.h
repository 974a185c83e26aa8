// How engines are called in requests and in the configuration: a word ("native", "llama_cpp"), or
// "remote:" and the name that the configuration gives a server. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace minerva::backend {

inline constexpr std::size_t kEngineNameBytesMax = 72;
inline constexpr std::size_t kRemoteNameBytesMax = 64;
// What a list of engines to go on with may hold.
inline constexpr std::size_t kFallbackMax = 8;

// Letters, digits and "._-", the first a letter or digit.
bool is_remote_name(std::string_view name);
// Well-formed; whether there is such an engine is another question. "auto" is none.
bool is_engine_name(std::string_view name);

}  // namespace minerva::backend
