// Where `tokenizers` 0.23 and the utf8proc that we link know different versions of Unicode: 16 and
// 15, and far older ones in the parts that were written for BERT. Vocabularies were made with the
// former.
#pragma once

#include <span>

#include "text/char_class.h"
#include "text/code_ranges.h"

namespace minerva::text {

struct ClassRange {
  char32_t first, last;
  CharClass char_class;
};
struct CodePair {
  char32_t from, to;
};

extern const std::span<const ClassRange> kNewerClasses;  // unassigned in utf8proc
extern const std::span<const CodePair> kNewerLowerCase;
extern const std::span<const CodeRange> kNewestNumbers;  // to its Digits, which knows Unicode 17
// Characters for which the answer is not what utf8proc's category says:
extern const std::span<const CodeRange> kMarkChanges;         // StripAccents: category M
extern const std::span<const CodeRange> kAccentChanges;       // BERT's accents: Mn
extern const std::span<const CodeRange> kControlChanges;      // BERT's controls: Cc, Cf, Co
extern const std::span<const CodeRange> kPunctuationChanges;  // BERT's punctuation: P
// Characters that stay as they are where utf8proc would decompose them.
extern const std::span<const CodeRange> kNotDecomposed;  // by canonical decomposition
extern const std::span<const CodeRange> kNotCompatible;  // by compatibility decomposition

}  // namespace minerva::text
