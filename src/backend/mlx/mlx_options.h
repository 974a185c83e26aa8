// What the mlx engine is configured with. Plain values and hooks; filled in by the app.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/model_spec.h"
#include "base/clock.h"
#include "base/result.h"
#include "process/child.h"
#include "text/tokenizer.h"

namespace minerva::backend {

struct MlxOptions {
  // The interpreter that has mlx-lm. Empty: that of the script mlx_lm.server on PATH, else python3.
  std::string python;
  std::vector<std::string>
      environment;                 // ours; a child gets what process/environment.h lets through
  std::vector<std::string> guard;  // how the guard is started: our binary and its verb
  std::string log_folder;          // empty: no files

  // A folder is looked through before any Python sees it: whoever loads it runs what its
  // configuration names. An error here is the load's.
  std::function<Result<void>(const ModelSpec&)> check_folder;
  std::function<Result<std::shared_ptr<const text::Tokenizer>>(const ModelSpec&)> vocabulary;

  std::size_t context_default = 0;  // the most that a load without a size gets; 0: the model's own
  // Small, because a prompt whose client left is computed to the end of its step: 13.9 s against
  // 132 s for 1,500 tokens on two processors, with 64 against mlx_lm's own 2,048.
  unsigned prefill_step = 64;
  unsigned prompt_cache_entries = 4;
  std::uint64_t prompt_cache_bytes = std::uint64_t{512} << 20;
  unsigned decode_concurrency = 16;
  unsigned prompt_concurrency = 4;
  // Its listen queue holds 5; of 40 connections at once, 6 to 10 were reset.
  std::size_t connections_max = 16;
  std::uint16_t port = 0;  // 0: a free one; tests choose one that is taken
  unsigned cpus = 0;       // how many processors it may use; 0: all of ours
  Duration ready_max = std::chrono::minutes(10);
  process::StopLadder ladder;
};

}  // namespace minerva::backend
