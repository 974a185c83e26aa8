// What serve needs of a model besides its weights: read once for each version of a file, and
// kept when the model is unloaded, so that rendering and counting tokens need no engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "models/model_entry.h"
#include "text/tokenizer.h"

namespace minerva::models {

// Immutable.
struct LoadedVocabulary {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string chat_template;  // Jinja source; empty when the file has none
  // As templates print them; none where the model has no such token.
  std::optional<std::string> bos_text, eos_text, unk_text, pad_text;
  std::string architecture;
  std::string model_name;            // as the file says, or the folder's; may tell the family
  std::uint64_t context_length = 0;  // 0 when the file does not say
};

// `path`: a GGUF file or a model folder.
Result<std::shared_ptr<const LoadedVocabulary>> load_vocabulary(const std::string& path);

// Any thread. Two callers who want the same file share one reading of it.
class VocabularyCache {
 public:
  explicit VocabularyCache(std::size_t capacity = 8) : capacity_(capacity) {}

  // `entry` as the store just gave it: its path, time and size are the key. A failure is not kept.
  Result<std::shared_ptr<const LoadedVocabulary>> get(const ModelEntry& entry);
  // The same for a file that is there now.
  Result<std::shared_ptr<const LoadedVocabulary>> get(const std::string& path);

 private:
  struct Slot {
    std::string path;
    std::int64_t modified_ns = 0;
    std::uint64_t size_bytes = 0;
    std::mutex reading;  // held while the file is read
    std::shared_ptr<const LoadedVocabulary> vocabulary;
  };
  const std::size_t capacity_;
  std::mutex mutex_;
  std::list<std::shared_ptr<Slot>> slots_;  // the one used last first
};

}  // namespace minerva::models
