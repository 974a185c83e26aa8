// The child's side of an isolated engine: serves a backend over a Unix socket, with HTTP and
// server-sent events as the other engines do. Only processes of the same user are answered.
//
//   GET  /health      200 once the model is loaded, 503 while it loads, 500 with the reason when it
//                     could not be; {"health":…,"context_size":…,"done":…,"total":…,"generates":…,
//                     "embeds":…,"text_tokens_max":…,"error":…}
//   POST /generate    request_json.h in, a stream of event_json.h out
//   POST /embed       embed_json.h in and out
//
// A connection carries one request at a time; closing it cancels the request.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/result.h"

namespace minerva::backend {

struct EngineServerOptions {
  std::string socket;
  std::size_t connections_max = 1024;
  std::size_t body_bytes_max = std::size_t{256} << 20;  // a million token ids are 8 MB
};

// Owned by main(), or a test. run() is called once, by the thread that then serves; the other
// members by any.
class EngineServer {
 public:
  // Listens at once, so that whoever started us can watch the loading. The backend outlives run(),
  // and nothing it runs outlives the server: end it, or destroy it, first.
  static Result<std::unique_ptr<EngineServer>> listen(EngineServerOptions options,
                                                      InferenceBackend& backend);
  ~EngineServer();

  // Answers until stop(), or until SIGTERM or SIGINT arrives.
  void run();
  void stop();
  void on_signals();  // has run() end at them, too
  // What /health says: of the loading, and whether it failed.
  void report_progress(std::uint64_t done, std::uint64_t total);
  void report_failure(Error error);

 private:
  struct State;
  explicit EngineServer(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace minerva::backend
