#include "models/vocabulary_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "formats/gguf.h"
#include "models/model_store.h"
#include "models/vocabulary_folder.h"

namespace minerva::models {

namespace {

Result<std::shared_ptr<LoadedVocabulary>> load_gguf_vocabulary(const std::string& path) {
  MINERVA_ASSIGN(const auto file, formats::GgufFile::open(path));
  auto out = std::make_shared<LoadedVocabulary>();
  MINERVA_ASSIGN(out->tokenizer, text::Tokenizer::from_gguf(*file));
  MINERVA_ASSIGN(out->architecture, file->get_string_or("general.architecture", ""));
  MINERVA_ASSIGN(out->model_name, file->get_string_or("general.name", ""));
  MINERVA_ASSIGN(out->chat_template, file->get_string_or("tokenizer.chat_template", ""));
  MINERVA_ASSIGN(out->context_length,
                 file->get_uint_or(fmt::format("{}.context_length", out->architecture), 0));
  return out;
}

}  // namespace

Result<std::shared_ptr<const LoadedVocabulary>> load_vocabulary(const std::string& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  MINERVA_ASSIGN(const auto out,
                 folder ? load_folder_vocabulary(path) : load_gguf_vocabulary(path));
  const auto piece = [&](std::optional<TokenId> id) {
    return id ? std::optional(std::string(out->tokenizer->piece(*id))) : std::nullopt;
  };
  out->bos_text = piece(out->tokenizer->bos());
  out->eos_text = piece(out->tokenizer->eos());
  out->unk_text = piece(out->tokenizer->unk());
  out->pad_text = piece(out->tokenizer->pad());
  return out;
}

Result<std::shared_ptr<const LoadedVocabulary>> VocabularyCache::get(const ModelEntry& entry) {
  std::shared_ptr<Slot> slot;
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::ranges::find_if(slots_, [&](const auto& known) {
      return known->path == entry.path && known->modified_ns == entry.modified_ns &&
             known->size_bytes == entry.size_bytes;
    });
    if (at != slots_.end()) {
      slots_.splice(slots_.begin(), slots_, at);
    } else {
      auto fresh = std::make_shared<Slot>();
      fresh->path = entry.path;
      fresh->modified_ns = entry.modified_ns;
      fresh->size_bytes = entry.size_bytes;
      slots_.push_front(std::move(fresh));
      // Whoever still uses a vocabulary that is dropped here has a share of it.
      if (slots_.size() > capacity_) slots_.pop_back();
    }
    slot = slots_.front();
  }
  const std::lock_guard reading(slot->reading);
  if (!slot->vocabulary) {
    MINERVA_ASSIGN(slot->vocabulary, load_vocabulary(entry.path));
  }
  return slot->vocabulary;
}

Result<std::shared_ptr<const LoadedVocabulary>> VocabularyCache::get(const std::string& path) {
  MINERVA_ASSIGN(const ModelEntry entry,
                 ModelStore(StoreOptions{}).resolve(path, /*allow_paths=*/true));
  return get(entry);
}

}  // namespace minerva::models
