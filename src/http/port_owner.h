// Who listens on a port that we wanted. Asks it over HTTP, for half a second at most.
#pragma once

#include <string>

namespace minerva::http {

// "Ollama 0.12.0", "another Minerva 0.1.0", or "another program".
std::string port_owner(const std::string& host, unsigned port);

}  // namespace minerva::http
