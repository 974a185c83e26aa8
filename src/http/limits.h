// What one client may cost the server (docs/http.md gives the reasons). Every number has its test;
// tests make them small. Plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace minerva::http {

struct Limits {
  // A request's head: request line and header fields.
  std::size_t head_bytes_max = std::size_t{16} * 1024;
  std::size_t head_fields_max = 100;
  Duration head_time_max = std::chrono::seconds(10);  // from its first byte to its last

  std::size_t prompt_body_bytes_max = std::size_t{8} * 1024 * 1024;
  std::size_t body_bytes_max = std::size_t{256} * 1024;  // routes that take no prompt
  std::uint64_t body_bytes_per_second_min = 1024;        // averaged, once the grace has passed
  Duration body_grace = std::chrono::seconds(5);

  std::size_t connections_max = 2000;
  std::size_t streams_per_client_max = 32;
  // Requests that wait for a pool thread.
  std::size_t starts_waiting_max = 256;

  // Calls that load or unload models and wait for it, each on a thread of its own.
  std::size_t loads_waiting_max = 16;

  Duration idle_time_max = std::chrono::seconds(60);    // between two requests
  Duration write_stall_max = std::chrono::seconds(60);  // a reader that takes no byte for so long
  // What a slow reader may hold: the kernel's part (it doubles the number) and ours.
  std::size_t send_buffer_bytes = std::size_t{128} * 1024;
  std::size_t write_bytes_max = std::size_t{64} * 1024;
};

}  // namespace minerva::http
