// What the fake engine is told on its command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace minerva::fake_engine {

struct Options {
  unsigned port = 0;   // 0: any free one; it is printed
  std::string socket;  // a Unix socket in place of a port
  std::string key;     // asked for as a bearer token; the first line of --api-key-file
  std::string model = "fake";
  std::size_t context_size = 512;
  std::uint32_t end_one_in = 64;  // as FakeModel's
  std::string script;
  std::chrono::milliseconds token_delay{};  // slow but alive
  // Every answer is so many events of one kind, as fast as they can be sent.
  std::uint64_t zero_work = 0;
  std::string raw;  // a file: its bytes are the body of every event stream
  // So many requests are answered without faults and lies (the warm-up).
  std::uint64_t honest_requests = 0;

  // Faults. Token numbers count from 0, in each request.
  std::chrono::milliseconds slow_start{};  // /health says 503 for so long
  bool never_ready = false;
  bool fail_load = false;  // says why on stderr and exits with 1
  std::optional<std::uint64_t> hang_at, spin_at, sigstop_at, die_at;
  bool die_inside_character = false;  // in the middle of its bytes on the wire
  bool ignore_sigterm = false;
  bool grandchild = false;  // a process of its own that outlives it and holds its pipes
  // How a stream is broken: json, cut, no_done, error_event.
  std::string bad_sse;
  // ids (tokens past the vocabulary), usage, framing (length and chunks at once), huge_chunk,
  // huge_head, redirect, interim (a flood of 1xx), health (ready, yet no POST is ever answered),
  // endless_line (an event that never ends), gzip, choice (answers for the 8th of one), count (of
  // tokens, which jumps), other_id (an event of another request's), status (a 500 with a path).
  std::string lie;
};

// Prints what is wrong and exits with 2 where the command line is.
Options parse_options(int argc, char** argv);

}  // namespace minerva::fake_engine
