#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <cstdint>
#include <utility>

#include "base/utf8.h"
#include "text/vocabulary.h"

namespace minerva::text {
namespace {

constexpr std::uint32_t kNestingMax = 100;
constexpr std::uint32_t kHeapKilobytesMax = 64 * 1024;
constexpr std::size_t kJitStackBytes = std::size_t{1} << 20;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>>;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 160> text{};
  if (pcre2_get_error_message(code, text.data(), text.size()) < 0) return "unknown error";
  return reinterpret_cast<const char*>(text.data());
}

// What a text may cost. PCRE2's own limits begin anew at each place of the text, so that they do
// not hold for a whole text; the callouts before each item of the expression count for all of it.
struct Budget {
  std::size_t left;
  std::size_t seen = 0;  // how far into the text the match was
};

int count_step(pcre2_callout_block* block, void* data) {
  Budget& budget = *static_cast<Budget*>(data);
  const std::size_t scanned =
      block->current_position > budget.seen ? block->current_position - budget.seen : 0;
  budget.seen = block->current_position;
  const std::size_t cost = 1 + scanned;
  if (cost > budget.left) {
    budget.left = 0;
    return PCRE2_ERROR_CALLOUT;
  }
  budget.left -= cost;
  return 0;
}

}  // namespace

struct Regex::Compiled {
  Code code;
  std::string pattern;  // as the file writes it
};

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kRegexBytesMax) {
    return fail(ErrorCode::Unsupported,
                fmt::format("tokenizer.json: an expression of {} bytes is not supported; up to {} "
                            "are",
                            pattern.size(), kRegexBytesMax),
                "tokenizer.json");
  }
  MINERVA_ASSIGN(const std::string translated, pcre2_of_oniguruma(pattern));
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context) return fail(ErrorCode::Internal, "no memory for a regular expression");
  pcre2_set_parens_nest_limit(context.get(), kNestingMax);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE place = 0;
  const std::uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                          options, &error, &place, context.get()));
  if (!code) {
    return fail(ErrorCode::InvalidModel,
                fmt::format("tokenizer.json: the expression {} is not understood: {}",
                            quoted_piece(pattern), message_of(error)),
                "tokenizer.json");
  }
  // Without it (a machine that forbids it) matching is slower, no more.
  (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  auto compiled = std::make_shared<Compiled>();
  compiled->code = std::move(code);
  compiled->pattern = pattern;
  return Regex(std::move(compiled));
}

Result<void> Regex::for_each_match(
    std::string_view text,
    const std::function<void(std::size_t begin, std::size_t end)>& on_match) const {
  std::string valid;
  if (!utf8_valid(text)) {
    valid.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
      const Utf8Char c = utf8_next(text.substr(at));
      valid += c.valid ? text.substr(at, c.length) : std::string_view("\x1a");
      at += c.length;
    }
    text = valid;
  }
  const MatchData data(pcre2_match_data_create(1, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  if (!data || !context) return fail(ErrorCode::Internal, "no memory for a regular expression");
  Budget budget{kRegexStepsFree + kRegexStepsPerByte * text.size()};
  pcre2_set_callout(context.get(), count_step, &budget);
  pcre2_set_heap_limit(context.get(), kHeapKilobytesMax);
  JitStack stack;
  std::size_t from = 0;
  std::size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    budget.seen = from;
    int found = pcre2_match(compiled_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                            text.size(), from, PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && !stack) {
      stack.reset(pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr));
      if (stack) {
        pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
        continue;
      }
    }
    if (found == PCRE2_ERROR_NOMATCH) return {};
    if (found < 0) {
      return fail(ErrorCode::InvalidModel,
                  fmt::format("the model's expression {} takes too long on this text of {} bytes "
                              "({})",
                              quoted_piece(compiled_->pattern), text.size(),
                              found == PCRE2_ERROR_CALLOUT ? "too many steps" : message_of(found)),
                  "tokenizer.json");
    }
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(data.get());
    const std::size_t begin = ends[0];
    const std::size_t end = ends[1];
    if (end == begin && end == last_end) {
      // No empty match right behind another one.
      if (from >= text.size()) return {};
      from += utf8_next(text.substr(from)).length;
      continue;
    }
    on_match(begin, end);
    from = last_end = end;
  }
  return {};
}

}  // namespace minerva::text
