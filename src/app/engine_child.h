// `minerva engine …`: this binary as an isolated engine, a child of a Minerva that serves
// (backend/isolated/engine_server.h says what it answers).
#pragma once

#include <span>
#include <string>

namespace minerva::app {

// Loads the model and answers until SIGTERM, or until whoever started it has gone. Returns the exit
// code.
int run_engine_child(std::span<const std::string> arguments);

}  // namespace minerva::app
