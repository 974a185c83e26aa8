// What is done to a text before it is cut into words: the normalizers of tokenizer.json, in order.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/cut_stages.h"
#include "text/unicode.h"

namespace minerva::text {

// A text that a step makes longer than this is refused with TooLarge.
inline constexpr std::size_t kNormalizedBytesMax = std::size_t{1} << 31;

// Filled once, then used from any thread.
class Normalizer {
 public:
  // Changes the text. Bytes that are not UTF-8 are left alone.
  using Step = std::function<Result<void>(std::string& text)>;

  void add(Step step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  Result<std::string> apply(std::string_view text) const;

 private:
  std::vector<Step> steps_;
};

// What the normalizer of BERT models does, in this order.
struct BertNormalization {
  bool clean_text = true;            // drops controls, makes every white space a space
  bool handle_chinese_chars = true;  // spaces around ideographs
  bool strip_accents = true;         // decomposes, and drops the marks
  bool lowercase = true;
};

Normalizer::Step form_step(UnicodeForm form);
Normalizer::Step lowercase_step();
Normalizer::Step strip_accents_step();               // drops all marks
Normalizer::Step strip_step(bool left, bool right);  // white space at the ends
Normalizer::Step prepend_step(std::string prefix);   // nothing where the text is empty
Normalizer::Step replace_step(std::string from, std::string to);
Normalizer::Step replace_matches_step(FindMatches find, std::string to);
Normalizer::Step nmt_step();  // the clean-up of neural machine translation
Normalizer::Step bert_step(BertNormalization options);

}  // namespace minerva::text
