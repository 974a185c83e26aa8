// The tokenizer of a model folder as a VocabularySource: tokenizer.json and the files beside it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json_components.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json_reader.h"
#include "text/vocabulary.h"

namespace minerva::text {

// Holds what source() looks into, so it stays where it is. One thread.
class JsonVocabulary {
 public:
  JsonVocabulary() = default;
  JsonVocabulary(const JsonVocabulary&) = delete;
  JsonVocabulary& operator=(const JsonVocabulary&) = delete;

  // Once. InvalidModel when a file is broken or they contradict each other; Unsupported, by name,
  // for what is not here.
  Result<void> read(const TokenizerFiles& files);
  const VocabularySource& source() const { return source_; }
  // tokenizer.json without its vocabulary and merges.
  const nlohmann::json& document() const { return json_.rest; }

 private:
  Result<void> read_model();
  Result<void> place_pieces();
  Result<void> place_added_tokens();
  Result<void> place_added_token(const nlohmann::json& token, const std::string& where);
  Result<void> place_later_tokens(const TokenizerFiles& files);
  Result<void> resolve_merges();
  Result<void> read_unknown_id(const nlohmann::json& model);
  Result<void> read_special_tokens(const TokenizerFiles& files);
  Result<void> add_answer_ends(const TokenizerFiles& files);
  std::optional<std::uint64_t> id_of(std::string_view piece) const;

  TokenizerJson json_;
  nlohmann::json config_;                    // tokenizer_config.json
  std::vector<nlohmann::json> late_tokens_;  // that only this file has
  JsonComponents components_;
  TokenMap vocab_;  // place in the file -> piece of model.vocab
  std::vector<bool> taken_;
  VocabularySource source_;
};

}  // namespace minerva::text
