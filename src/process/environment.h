// What a child is told of our environment: a closed list, and nothing that could redirect it
// (LD_PRELOAD, PYTHONPATH, LLAMA_ARG_*, HF_TOKEN and so on stay here). Pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace minerva::process {

// PATH, LANG, LC_*, TZ, TMPDIR and the variables by which GPUs are chosen, as `ours` has them;
// HOME becomes `private_home`. `extra` is added, and wins; a name that is empty or holds '=' or a
// zero byte, which no environment can carry, is left out. "NAME=value", sorted.
std::vector<std::string> child_environment(
    std::span<const std::string> ours, std::string_view private_home,
    std::span<const std::pair<std::string, std::string>> extra);

}  // namespace minerva::process
