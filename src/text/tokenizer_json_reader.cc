#include "text/tokenizer_json_reader.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "text/json_builder.h"
#include "text/vocabulary.h"

namespace minerva::text {
namespace {

// Takes model.vocab and model.merges out of the stream of events; a document of these would need a
// hundred bytes for each of a million strings.
class Reader final : public JsonBuilder {
 public:
  explicit Reader(TokenizerJson& out) : out_(out) {}

  bool null() {
    return plain([&] { return JsonBuilder::null(); });
  }
  bool boolean(bool value) {
    return plain([&] { return JsonBuilder::boolean(value); });
  }
  bool number_integer(std::int64_t value) {
    if (place_ == Place::Vocab) return refuse(at_vocab(fmt::format("{} is no id", value)));
    if (place_ == Place::ScoredPair) return score(static_cast<double>(value));
    return plain([&] { return JsonBuilder::number_integer(value); });
  }
  bool number_unsigned(std::uint64_t value) {
    if (place_ == Place::ScoredPair) return score(static_cast<double>(value));
    if (place_ != Place::Vocab) {
      return plain([&] { return JsonBuilder::number_unsigned(value); });
    }
    out_.ids.push_back(value);
    return true;
  }
  bool number_float(double value, const std::string& text) {
    if (place_ == Place::Vocab) return refuse(at_vocab(fmt::format("{} is no id", text)));
    if (place_ == Place::ScoredPair) return score(value);
    return plain([&] { return JsonBuilder::number_float(value, text); });
  }
  bool string(std::string& value);
  bool start_object(std::size_t size);
  bool start_array(std::size_t size);
  bool end_object();
  bool end_array();
  bool key(std::string& name);

 private:
  enum class Place : std::uint8_t { Rest, Vocab, Scored, ScoredPair, Merges, Pair };

  template <class Build>
  bool plain(const Build& build) {
    if (place_ == Place::Rest) return build();
    if (place_ == Place::Scored || place_ == Place::ScoredPair) return refuse(at_scored());
    if (place_ == Place::Vocab) return refuse(at_vocab("it has no number as its id"));
    return refuse(at_merge("two strings belong there"));
  }
  bool at(std::string_view name) const { return depth() == 2 && top_ == "model" && inner_ == name; }
  std::string at_vocab(std::string_view why) const {
    return fmt::format("model.vocab[{}]: {}", quoted_piece(piece_), why);
  }
  std::string at_merge(std::string_view why) const {
    return fmt::format("model.merges[{}]: {}", pairs_, why);
  }
  std::string at_scored() const {
    return fmt::format("model.vocab[{}]: it is not a list of a string and a number",
                       out_.scores.size());
  }
  bool merge_line(std::string_view line);
  bool score(double value);

  TokenizerJson& out_;
  Place place_ = Place::Rest;
  std::string top_;    // the key we are under in the document,
  std::string inner_;  // and in the object there
  std::string piece_;
  std::size_t pairs_ = 0;   // merges that were read
  std::size_t scored_ = 0;  // pieces with their scores
  int vocab_keys_ = 0;
  int merges_keys_ = 0;
};

bool Reader::string(std::string& value) {
  switch (place_) {
    case Place::Merges:
      return merge_line(value);
    case Place::Pair:
      out_.merge_sides.add(value);
      return true;
    case Place::ScoredPair:
      if (out_.pieces->size() != out_.scores.size()) return refuse(at_scored());
      out_.ids.push_back(out_.pieces->size());
      out_.pieces->add(value);
      return true;
    default:
      return plain([&] { return JsonBuilder::string(value); });
  }
}

bool Reader::merge_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    return refuse(at_merge(
        fmt::format("{} is not two tokens with one space between them", quoted_piece(line))));
  }
  out_.merge_sides.add(line.substr(0, space));
  out_.merge_sides.add(line.substr(space + 1));
  ++pairs_;
  return true;
}

// The second of a pair, after its piece.
bool Reader::score(double value) {
  if (out_.pieces->size() != out_.scores.size() + 1) return refuse(at_scored());
  out_.scores.push_back(value);
  return true;
}

bool Reader::start_object(std::size_t size) {
  if (place_ == Place::Rest && at("vocab")) {
    place_ = Place::Vocab;
    out_.has_vocab = true;
    return true;
  }
  return plain([&] { return JsonBuilder::start_object(size); });
}

bool Reader::start_array(std::size_t size) {
  if (place_ == Place::Merges) {
    place_ = Place::Pair;
    return true;
  }
  if (place_ == Place::Scored) {
    place_ = Place::ScoredPair;
    return true;
  }
  if (place_ == Place::Rest && at("merges")) {
    place_ = Place::Merges;
    return true;
  }
  if (place_ == Place::Rest && at("vocab")) {
    place_ = Place::Scored;
    out_.has_vocab = true;
    return true;
  }
  return plain([&] { return JsonBuilder::start_array(size); });
}

bool Reader::end_object() {
  if (place_ == Place::Vocab) {
    place_ = Place::Rest;
    return true;
  }
  return JsonBuilder::end_object();
}

bool Reader::end_array() {
  switch (place_) {
    case Place::ScoredPair:
      place_ = Place::Scored;
      if (out_.pieces->size() == out_.scores.size() && out_.scores.size() == ++scored_) return true;
      return refuse(at_scored());
    case Place::Scored:
      place_ = Place::Rest;
      return true;
    case Place::Pair:
      place_ = Place::Merges;
      // Sides come in twos, so that a list of one or three is seen by its last side.
      if (out_.merge_sides.size() == 2 * ++pairs_) return true;
      return refuse(fmt::format("model.merges[{}]: it is not a list of two strings", pairs_ - 1));
    case Place::Merges:
      place_ = Place::Rest;
      return true;
    default:
      return JsonBuilder::end_array();
  }
}

bool Reader::key(std::string& name) {
  if (place_ == Place::Vocab) {
    piece_ = std::move(name);
    out_.pieces->add(piece_);
    return true;
  }
  if (depth() == 1) top_ = name;
  if (depth() == 2) {
    inner_ = name;
    // They leave no value in the document that would show a second one.
    if (top_ == "model" && name == "vocab" && vocab_keys_++ > 0) return refuse("two model.vocab");
    if (top_ == "model" && name == "merges" && merges_keys_++ > 0) {
      return refuse("two model.merges");
    }
  }
  return JsonBuilder::key(name);
}

}  // namespace

Result<TokenizerJson> read_tokenizer_json(std::string_view bytes) {
  if (bytes.size() > kTokenizerJsonBytesMax) {
    return fail(ErrorCode::TooLarge,
                fmt::format("tokenizer.json has {} bytes; at most {} are read", bytes.size(),
                            kTokenizerJsonBytesMax),
                "tokenizer.json");
  }
  TokenizerJson out;
  out.pieces = std::make_shared<PieceList>();
  Reader reader(out);
  if (!nlohmann::json::sax_parse(bytes, &reader)) {
    return fail(ErrorCode::InvalidModel, "tokenizer.json: " + reader.problem(), "tokenizer.json");
  }
  out.rest = reader.take();
  return out;
}

}  // namespace minerva::text
