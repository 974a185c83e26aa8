#include "text/piece_decoder.h"

#include <array>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/space_mark.h"

namespace minerva::text {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos) return;
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(from, at)) != std::string::npos;) {
    out.append(text, at, found - at);
    out += to;
    at = found + from.size();
  }
  out.append(text, at);
  text = std::move(out);
}

void strip(std::string& text, std::string_view content, std::size_t left, std::size_t right) {
  if (content.empty()) return;
  std::size_t begin = 0;
  while (left > 0 && std::string_view(text).substr(begin).starts_with(content)) {
    begin += content.size();
    --left;
  }
  std::size_t end = text.size();
  while (right > 0 && end - begin >= content.size() &&
         std::string_view(text).substr(begin, end - begin).ends_with(content)) {
    end -= content.size();
    --right;
  }
  text = text.substr(begin, end - begin);
}

// In this order, each on what the one before left.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kCleanUps = {
    {{" .", "."},
     {" ?", "?"},
     {" !", "!"},
     {" ,", ","},
     {" ' ", "'"},
     {" n't", "n't"},
     {" 'm", "'m"},
     {" do not", " don't"},
     {" 's", "'s"},
     {" 've", "'ve"},
     {" 're", "'re"}}};

}  // namespace

void PieceDecoder::strip_whole(std::string content, std::size_t left, std::size_t right) {
  strips_.push_back({std::move(content), left, right});
}

std::string PieceDecoder::text_of(std::string_view piece, TokenPlace place) const {
  std::string out(piece);
  for (const Step& step : steps_) step(out, place);
  return out;
}

void PieceDecoder::finish(std::string& text) const {
  for (const Strip& one : strips_) strip(text, one.content, one.left, one.right);
}

PieceDecoder::Step spaced_decoder() {
  return [](std::string& token, TokenPlace place) {
    if (!place.first) token.insert(0, " ");
  };
}

PieceDecoder::Step byte_level_decoder() {
  return [](std::string& token, TokenPlace) { token = bytes_of_letters(token); };
}

PieceDecoder::Step byte_fallback_decoder() {
  return [](std::string& token, TokenPlace) {
    if (const auto byte = byte_of_piece(token)) token.assign(1, static_cast<char>(*byte));
  };
}

PieceDecoder::Step replace_decoder(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](std::string& token, TokenPlace) {
    replace_all(token, from, to);
  };
}

PieceDecoder::Step strip_decoder(std::string content, std::size_t left, std::size_t right) {
  return [content = std::move(content), left, right](std::string& token, TokenPlace) {
    strip(token, content, left, right);
  };
}

PieceDecoder::Step metaspace_decoder(std::string mark, bool drops_first) {
  return [mark = std::move(mark), drops_first](std::string& token, TokenPlace place) {
    replace_all(token, mark, place.first && drops_first ? "" : " ");
  };
}

PieceDecoder::Step word_piece_decoder(std::string prefix, bool cleanup) {
  return [prefix = std::move(prefix), cleanup](std::string& token, TokenPlace place) {
    if (!place.first) {
      if (!prefix.empty() && token.starts_with(prefix)) {
        token.erase(0, prefix.size());
      } else {
        token.insert(0, " ");
      }
    }
    if (!cleanup) return;
    for (const auto& [from, to] : kCleanUps) replace_all(token, from, to);
  };
}

PieceDecoder::Step suffix_decoder(std::string suffix) {
  return [suffix = std::move(suffix)](std::string& token, TokenPlace place) {
    replace_all(token, suffix, place.last ? "" : " ");
  };
}

}  // namespace minerva::text
