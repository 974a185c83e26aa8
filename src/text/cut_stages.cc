#include "text/cut_stages.h"

#include <utility>

#include "base/utf8.h"
#include "text/byte_alphabet.h"

namespace minerva::text {
namespace {

class ScanStage final : public CutStage {
 public:
  explicit ScanStage(Scanner scanner) : scanner_(scanner) {}
  Scanner scanner() const override { return scanner_; }
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const override {
    while (!text.empty()) {
      const std::size_t length = scanner_(text);
      MINERVA_TRY(sink(text.substr(0, length), at_start));
      at_start = false;
      text.remove_prefix(length);
    }
    return {};
  }

 private:
  Scanner scanner_;
};

// Takes matches and what lies between them in turn, and hands out pieces.
class Joiner {
 public:
  Joiner(std::string_view text, bool at_start, SplitBehavior behavior, const PieceSink& sink)
      : text_(text), at_start_(at_start), behavior_(behavior), sink_(sink) {}

  void add(std::size_t begin, std::size_t end, bool is_match) {
    if (begin == end && !is_match) return;
    if (is_match && behavior_ == SplitBehavior::Removed) {
      flush();
    } else if (held_ && joins(is_match)) {
      end_ = end;
    } else {
      flush();
      held_ = true;
      begin_ = begin;
      end_ = end;
    }
    held_match_ = is_match;
  }

  Result<void> finish() {
    flush();
    return std::move(result_);
  }
  bool failed() const { return !result_; }

 private:
  bool joins(bool is_match) const {
    switch (behavior_) {
      case SplitBehavior::Contiguous:
        return is_match == held_match_;
      case SplitBehavior::MergedWithPrevious:
        return is_match && !held_match_;
      case SplitBehavior::MergedWithNext:
        return !is_match && held_match_;
      default:
        return false;
    }
  }
  void flush() {
    if (held_ && end_ > begin_ && result_) {
      result_ = sink_(text_.substr(begin_, end_ - begin_), at_start_ && begin_ == 0);
    }
    held_ = false;
  }

  std::string_view text_;
  bool at_start_;
  SplitBehavior behavior_;
  const PieceSink& sink_;
  bool held_ = false;
  bool held_match_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  Result<void> result_;
};

class SplitStage final : public CutStage {
 public:
  SplitStage(FindMatches find, SplitBehavior behavior, bool invert)
      : find_(std::move(find)), behavior_(behavior), invert_(invert) {}
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const override {
    Joiner joiner(text, at_start, behavior_, sink);
    std::size_t done = 0;
    MINERVA_TRY(find_(text, [&](std::size_t begin, std::size_t end) {
      if (joiner.failed()) return;
      if (begin > done) joiner.add(done, begin, invert_);
      joiner.add(begin, end, !invert_);
      done = end;
    }));
    if (done < text.size()) joiner.add(done, text.size(), invert_);
    return joiner.finish();
  }

 private:
  FindMatches find_;
  SplitBehavior behavior_;
  bool invert_;
};

std::string replaced_spaces(std::string_view text, std::string_view mark) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    if (c == ' ') {
      out += mark;
    } else {
      out += c;
    }
  }
  return out;
}

class MetaspaceStage final : public CutStage {
 public:
  MetaspaceStage(std::string mark, PrependScheme scheme, bool cuts)
      : mark_(std::move(mark)), scheme_(scheme), cuts_(cuts) {}
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const override {
    std::string marked = replaced_spaces(text, mark_);
    const bool prepends =
        scheme_ == PrependScheme::Always || (scheme_ == PrependScheme::First && at_start);
    if (prepends && !marked.starts_with(mark_)) marked.insert(0, mark_);
    std::string_view rest = marked;
    while (cuts_ && !rest.empty()) {
      const std::size_t end = rest.find(mark_, rest.starts_with(mark_) ? mark_.size() : 0);
      const std::string_view piece = rest.substr(0, end);
      MINERVA_TRY(sink(piece, at_start));
      at_start = false;
      rest.remove_prefix(piece.size());
    }
    return cuts_ ? Result<void>() : sink(marked, at_start);
  }

 private:
  std::string mark_;
  PrependScheme scheme_;
  bool cuts_;
};

class LeadingSpaceStage final : public CutStage {
 public:
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const override {
    if (text.starts_with(' ')) return sink(text, at_start);
    return sink(" " + std::string(text), at_start);
  }
};

class ByteLettersStage final : public CutStage {
 public:
  Result<void> cut(std::string_view text, bool at_start, const PieceSink& sink) const override {
    std::string letters;
    letters.reserve(text.size() * 2);
    for (const char c : text) utf8_append(letters, letter_of_byte(static_cast<std::uint8_t>(c)));
    return sink(letters, at_start);
  }
};

}  // namespace

FindMatches characters_where(std::function<bool(char32_t)> in) {
  return [in = std::move(in)](std::string_view text, const MatchSink& on_match) -> Result<void> {
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = utf8_next(text.substr(at));
      if (c.valid && in(c.code_point)) on_match(at, at + c.length);
      at += c.length;
    }
    return {};
  };
}

FindMatches occurrences_of(std::string literal) {
  return [literal = std::move(literal)](std::string_view text,
                                        const MatchSink& on_match) -> Result<void> {
    if (literal.empty()) return {};
    std::size_t at = 0;
    for (std::size_t found; (found = text.find(literal, at)) != std::string_view::npos;) {
      at = found + literal.size();
      on_match(found, at);
    }
    return {};
  };
}

std::unique_ptr<const CutStage> scan_stage(Scanner scanner) {
  return std::make_unique<ScanStage>(scanner);
}

std::unique_ptr<const CutStage> split_stage(FindMatches find, SplitBehavior behavior, bool invert) {
  return std::make_unique<SplitStage>(std::move(find), behavior, invert);
}

std::unique_ptr<const CutStage> metaspace_stage(std::string mark, PrependScheme scheme, bool cuts) {
  return std::make_unique<MetaspaceStage>(std::move(mark), scheme, cuts);
}

std::unique_ptr<const CutStage> leading_space_stage() {
  return std::make_unique<LeadingSpaceStage>();
}

std::unique_ptr<const CutStage> byte_letters_stage() {
  return std::make_unique<ByteLettersStage>();
}

}  // namespace minerva::text
