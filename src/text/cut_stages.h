// The kinds of stages that a TextCutter is made of.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/text_cutter.h"

namespace minerva::text {

// What becomes of the matches that a text is split by.
enum class SplitBehavior : std::uint8_t {
  Removed,
  Isolated,            // each is a piece
  MergedWithPrevious,  // it ends the piece before it
  MergedWithNext,      // it begins the piece after it
  Contiguous           // matches side by side are one piece
};

// Reports matches from left to right, without overlap.
using MatchSink = std::function<void(std::size_t begin, std::size_t end)>;
using FindMatches = std::function<Result<void>(std::string_view text, const MatchSink& on_match)>;

// Each character for which `in` holds is a match.
FindMatches characters_where(std::function<bool(char32_t)> in);
// Each occurrence; of an empty text there are none.
FindMatches occurrences_of(std::string literal);

std::unique_ptr<const CutStage> scan_stage(Scanner scanner);
// `invert`: what lies between the matches is what the behavior is about.
std::unique_ptr<const CutStage> split_stage(FindMatches find, SplitBehavior behavior,
                                            bool invert = false);

enum class PrependScheme : std::uint8_t { Never, Always, First };

// Spaces become `mark` (one character), one is put in front unless there is one, and each begins a
// piece if `cuts`.
std::unique_ptr<const CutStage> metaspace_stage(std::string mark, PrependScheme scheme, bool cuts);

// A space in front of what does not begin with one.
std::unique_ptr<const CutStage> leading_space_stage();

// Bytes as the letters that byte-level vocabularies write them with (byte_alphabet.h).
std::unique_ptr<const CutStage> byte_letters_stage();

}  // namespace minerva::text
