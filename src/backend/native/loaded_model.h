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

#include "backend/native/decoder_embeddings.h"
#include "backend/native/native_backend.h"
#include "engine/encode_queue.h"
#include "engine/encoder_model.h"
#include "engine/kv_cache.h"

namespace minerva::backend {

struct NativeBackend::Loaded {
  std::string name;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::size_t context = 0;
  std::uint64_t work_bytes = 0;

  // --- a decoder ---
  std::shared_ptr<const engine::Model> model;
  std::unique_ptr<engine::KvPool> kv;
  // How it makes vectors, or why it does not, and the tokens of the longest text.
  Result<DecoderEmbeddings::Vectors> vectors = DecoderEmbeddings::Vectors{};
  std::size_t text_limit = 0;
  bool makes_text = false;
  std::unique_ptr<engine::Batcher> batcher;

  // --- an encoder ---
  std::shared_ptr<const engine::EncoderModel> encoder;
  std::unique_ptr<engine::EncodeQueue> encodings;

  std::size_t text_tokens_max() const { return encodes() ? context : text_limit; }
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
Result<DecoderEmbeddings::Vectors> decoder_vectors(const formats::GgufFile& file,
                                                   std::string_view architecture);

// Tokens that an encoder computes in one step, but for a single text that is longer.
inline constexpr std::size_t kEncoderStepTokens = 512;

}  // namespace minerva::backend
