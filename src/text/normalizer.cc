#include "text/normalizer.h"

#include <utility>

#include "text/bert_characters.h"
#include "text/char_class.h"

namespace minerva::text {
namespace {

std::string_view stripped(std::string_view text, bool left, bool right) {
  const std::size_t begin = left ? run_of(text, 0, kSpace) : 0;
  text.remove_prefix(begin);
  if (!right) return text;
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const ClassedChar c = char_at(text, at);
    at += c.length;
    if (c.char_class != kSpace) end = at;
  }
  return text.substr(0, end);
}

bool is_nmt_dropped(char32_t c) {
  return (c >= 0x1 && c <= 0x8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
         c == 0x9f;
}

bool is_nmt_space(char32_t c) {
  return c == 0x9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
         (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
         c == 0xfffd;
}

void clean_for_bert(std::string& text) {
  text = map_characters(text, [](char32_t c, std::string& out) {
    if (c == '\t' || c == '\n' || c == '\r') {
      out += ' ';
    } else if (c != 0 && c != 0xfffd && !is_bert_control(c)) {
      if ((class_of(c) & kSpace) != 0) {
        out += ' ';
      } else {
        utf8_append(out, c);
      }
    }
  });
}

void space_out_ideographs(std::string& text) {
  text = map_characters(text, [](char32_t c, std::string& out) {
    if (is_bert_ideograph(c)) {
      out += ' ';
      utf8_append(out, c);
      out += ' ';
    } else {
      utf8_append(out, c);
    }
  });
}

void lower(std::string& text) {
  text = map_characters(text, [](char32_t c, std::string& out) { append_lower(out, c); });
}

void to_form_of(UnicodeForm form, std::string& text) {
  if (auto changed = to_form(form, text)) text = std::move(*changed);
}

}  // namespace

Result<std::string> Normalizer::apply(std::string_view text) const {
  std::string out(text);
  for (const Step& step : steps_) {
    MINERVA_TRY(step(out));
    if (out.size() > kNormalizedBytesMax) {
      return fail(ErrorCode::TooLarge, "the model's normalizer makes the text too long");
    }
  }
  return out;
}

Normalizer::Step form_step(UnicodeForm form) {
  return [form](std::string& text) -> Result<void> {
    to_form_of(form, text);
    return {};
  };
}

Normalizer::Step lowercase_step() {
  return [](std::string& text) -> Result<void> {
    lower(text);
    return {};
  };
}

Normalizer::Step strip_accents_step() {
  return [](std::string& text) -> Result<void> {
    text = map_characters(text, [](char32_t c, std::string& out) {
      if (!is_combining_mark(c)) utf8_append(out, c);
    });
    return {};
  };
}

Normalizer::Step strip_step(bool left, bool right) {
  return [left, right](std::string& text) -> Result<void> {
    text = std::string(stripped(text, left, right));
    return {};
  };
}

Normalizer::Step prepend_step(std::string prefix) {
  return [prefix = std::move(prefix)](std::string& text) -> Result<void> {
    if (!text.empty()) text.insert(0, prefix);
    return {};
  };
}

Normalizer::Step replace_step(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](std::string& text) -> Result<void> {
    if (from.empty()) return {};
    std::string out;
    std::size_t at = 0;
    for (std::size_t found; (found = text.find(from, at)) != std::string::npos;) {
      out.append(text, at, found - at);
      out += to;
      at = found + from.size();
      if (out.size() > kNormalizedBytesMax) return {};  // apply() says so
    }
    out.append(text, at);
    text = std::move(out);
    return {};
  };
}

Normalizer::Step replace_matches_step(FindMatches find, std::string to) {
  return [find = std::move(find), to = std::move(to)](std::string& text) -> Result<void> {
    std::string out;
    std::size_t at = 0;
    MINERVA_TRY(find(text, [&](std::size_t begin, std::size_t end) {
      if (out.size() > kNormalizedBytesMax) return;  // apply() says so
      out.append(text, at, begin - at);
      out += to;
      at = end;
    }));
    out.append(text, at);
    text = std::move(out);
    return {};
  };
}

Normalizer::Step nmt_step() {
  return [](std::string& text) -> Result<void> {
    text = map_characters(text, [](char32_t c, std::string& out) {
      if (is_nmt_dropped(c)) return;
      utf8_append(out, is_nmt_space(c) ? U' ' : c);
    });
    return {};
  };
}

Normalizer::Step bert_step(BertNormalization options) {
  return [options](std::string& text) -> Result<void> {
    if (options.clean_text) clean_for_bert(text);
    if (options.handle_chinese_chars) space_out_ideographs(text);
    if (options.strip_accents) {
      to_form_of(UnicodeForm::Nfd, text);
      text = map_characters(text, [](char32_t c, std::string& out) {
        if (!is_bert_accent(c)) utf8_append(out, c);
      });
    }
    if (options.lowercase) lower(text);
    return {};
  };
}

}  // namespace minerva::text
