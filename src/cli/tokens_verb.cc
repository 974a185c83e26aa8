// `tokenize` and `detokenize`: the vocabulary only, no weights are read.
#include <fmt/format.h>

#include <iterator>
#include <limits>

#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/vocabulary_cache.h"
#include "text/tokenizer.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

// Fifteen bytes an id at most, for as many ids as a text of the largest size could have.
constexpr std::size_t kIdsBytesMax = std::size_t{2} << 30;
constexpr std::size_t kIdsMax = std::size_t{1} << 28;

Result<std::shared_ptr<const text::Tokenizer>> open_tokenizer(const Context& context,
                                                              const std::string& model) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), model));
  auto vocabulary = models::load_vocabulary(entry.path);
  if (!vocabulary) return fail(std::move(vocabulary.error()).in(entry.path));
  return (*vocabulary)->tokenizer;
}

Result<std::vector<TokenId>> ids_of(const std::string& text, const text::Tokenizer& tokenizer) {
  auto json = wire::parse_json(text, {.depth_max = 2, .values_max = kIdsMax});
  if (!json) return fail(std::move(json.error()).in("standard input"));
  MINERVA_TRY(wire::must_be_array(*json, "standard input"));
  std::vector<TokenId> ids;
  ids.reserve(json->size());
  for (const wire::Json& value : *json) {
    MINERVA_ASSIGN(const TokenId id,
                   wire::bounded<TokenId>(value, fmt::format("element {}", ids.size()),
                                          {.min = 0, .max = std::numeric_limits<TokenId>::max()}));
    if (static_cast<std::size_t>(id) >= tokenizer.vocab_size()) {
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("element {}: there is no token {}; the vocabulary has {} tokens",
                              ids.size(), id, tokenizer.vocab_size()));
    }
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

Result<void> tokenize_stdin(const Context& context, const TokenizeVerbOptions& options) {
  MINERVA_ASSIGN(const auto tokenizer, open_tokenizer(context, options.model));
  MINERVA_ASSIGN(const std::string text, read_stdin(text::kEncodeBytesMax));
  MINERVA_ASSIGN(const std::vector<TokenId> ids,
                 tokenizer->encode(text, {.add_special = options.add_special,
                                          .parse_special = options.parse_special}));
  fmt::memory_buffer out;
  fmt::format_to(std::back_inserter(out), "[{}]\n", fmt::join(ids, ", "));
  return write_out({out.data(), out.size()});
}

Result<void> detokenize_stdin(const Context& context, const DetokenizeVerbOptions& options) {
  MINERVA_ASSIGN(const auto tokenizer, open_tokenizer(context, options.model));
  MINERVA_ASSIGN(const std::string text, read_stdin(kIdsBytesMax));
  MINERVA_ASSIGN(const std::vector<TokenId> ids, ids_of(text, *tokenizer));
  return write_out(tokenizer->decode(ids, options.special));
}

}  // namespace minerva::cli
