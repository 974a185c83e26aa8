// Cuts a text into words by the pre-tokenizers of tokenizer.json: stages, each of which cuts, and
// may change, the pieces of the one before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/scanners.h"

namespace minerva::text {

// Takes one piece. `at_start`: the whole text begins with it.
using PieceSink = std::function<Result<void>(std::string_view piece, bool at_start)>;

// Immutable; any thread.
class CutStage {
 public:
  CutStage() = default;
  CutStage(const CutStage&) = delete;
  CutStage& operator=(const CutStage&) = delete;
  virtual ~CutStage() = default;

  // Hands the pieces of `text`, which is not empty, to `sink` in order; the views live for the
  // call only. The first error ends it.
  virtual Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const = 0;

  // The scanner that this stage is, or nullptr.
  virtual Scanner scanner() const { return nullptr; }
};

// Filled once, then used from any thread.
class TextCutter {
 public:
  void add(std::unique_ptr<const CutStage> stage) { stages_.push_back(std::move(stage)); }
  std::size_t stage_count() const { return stages_.size(); }
  // All stages as scanners; empty if one is something else, or there are none.
  std::vector<Scanner> scanners() const;

  // No stages: the text is one word. Empty words are left out.
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const;

 private:
  Result<void> cut_from(std::size_t stage, std::string_view text, bool at_start,
                        const PieceSink& sink) const;

  std::vector<std::unique_ptr<const CutStage>> stages_;
};

}  // namespace minerva::text
