// A model that our engine has loaded: a decoder with its pages and its batcher, or an encoder with
// its queue. Private to this folder. Destroyed from the back: the thread that computes ends before
// what it uses goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backend/native/native_backend.h"
#include "engine/encode_queue.h"
#include "engine/encoder_model.h"
#include "engine/kv_cache.h"
#include "engine/pooling.h"

namespace minerva::backend {

struct NativeBackend::Loaded {
  std::string name;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::size_t context = 0;
  std::uint64_t work_bytes = 0;

  // --- a decoder ---
  std::shared_ptr<const engine::Model> model;
  std::unique_ptr<engine::KvPool> kv;
  // How it makes vectors, or why it does not.
  Result<engine::Pooling> pooling = engine::Pooling::Last;
  bool normalize = true;
  std::unique_ptr<engine::Batcher> batcher;

  // --- an encoder ---
  std::shared_ptr<const engine::EncoderModel> encoder;
  std::unique_ptr<engine::EncodeQueue> encodings;

  bool encodes() const { return encodings != nullptr; }
  bool intact() const { return encodes() ? encoder->intact() : model->intact(); }
  std::size_t active() const { return encodes() ? encodings->active() : batcher->active(); }
  void stop() { encodes() ? encodings->stop() : batcher->stop(); }
};

// Fails where the weights need more memory than is free, or the vocabulary has more tokens than the
// embedding has rows.
Result<void> check_memory(const formats::GgufFile& file, std::uint64_t packed_bytes);
Result<void> check_vocabulary(const text::Tokenizer& tokenizer, std::size_t rows);

// How a decoder's hidden states become one vector, or why they do not.
Result<engine::Pooling> decoder_pooling(const formats::GgufFile& file,
                                        std::string_view architecture);

// Tokens that an encoder computes in one step, but for a single text that is longer.
inline constexpr std::size_t kEncoderStepTokens = 512;

}  // namespace minerva::backend
