// The command line: which verbs there are, their flags, and what becomes of their errors.
#pragma once

#include <span>
#include <string>

#include "cli/local_server.h"

namespace minerva::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;  // the command line itself is wrong

// One command, with the arguments behind the program's name; returns the exit code.
int run_command(std::span<const std::string> arguments, std::span<const std::string> environment,
                const std::string& version, const Wiring& wiring);

}  // namespace minerva::cli
