// Embeddings of a decoder: each text is a prompt whose pooled hidden states are its vector. A
// request's texts go through the batcher a few at a time, beside everybody else's sequences, so
// that a long list does not keep others waiting. Private to this folder.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/batcher.h"
#include "engine/encode_queue.h"
#include "engine/pooling.h"

namespace minerva::backend {

// Owned by those of its texts that are in the batcher.
class DecoderEmbeddings : public std::enable_shared_from_this<DecoderEmbeddings> {
 public:
  // What becomes of the hidden states.
  struct Vectors {
    engine::Pooling pooling = engine::Pooling::Last;
    bool normalize = true;
  };

  // `batcher` is alive whenever it calls back. An error: nothing was begun.
  static Result<void> begin(engine::EmbedJob job, Vectors vectors, bool interactive,
                            engine::Batcher& batcher, const Clock& clock);

  DecoderEmbeddings(engine::EmbedJob job, Vectors vectors, bool interactive,
                    engine::Batcher& batcher, const Clock& clock);

 private:
  class Text;
  // Gives the batcher the next text, if there is one left.
  Result<void> submit_next();
  // --- on the batcher's thread ---
  bool unwanted() const { return over_ || job_.sink->cancelled(); }
  bool others_run() const;
  void take(std::size_t text, std::span<const float> vector);
  void text_done(const engine::BatchUsage& usage);
  void fail_with(Error error);
  void cancel();
  engine::EmbedUsage usage() const;

  const engine::EmbedJob job_;
  const Vectors vectors_;
  const bool interactive_;
  engine::Batcher& batcher_;
  const Clock& clock_;
  const TimePoint submitted_;
  mutable std::mutex mutex_;
  std::size_t next_ = 0;  // text to be given to the batcher; guarded by mutex_
  // The batcher's thread.
  bool over_ = false;  // the sink has heard of the end
  std::size_t done_ = 0;
  Duration queued_{};  // the first text's
};

}  // namespace minerva::backend
