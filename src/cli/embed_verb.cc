// `embed`: texts to vectors, over HTTP as any client has them (peer.h).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/peer.h"
#include "cli/signal_pipe.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "http/client.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

using wire::Json;

constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;
constexpr std::size_t kTextsPerCall = 64;
constexpr std::size_t kValuesMax = std::size_t{4} << 20;
constexpr auto kSilenceMax = std::chrono::minutes(10);

// The arguments, or each line of what is piped in.
Result<std::vector<std::string>> texts_of(const EmbedVerbOptions& options) {
  if (!options.texts.empty()) return options.texts;
  MINERVA_ASSIGN(const std::string piped, read_stdin(kTextBytesMax));
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < piped.size();) {
    const std::size_t end = std::min(piped.find('\n', at), piped.size());
    lines.push_back(piped.substr(at, end - at));
    at = end + 1;
  }
  if (lines.empty()) {
    return fail(ErrorCode::InvalidArgument,
                "there is no text: give some (minerva embed MODEL TEXT...) or pipe in one a line");
  }
  return lines;
}

Result<Json> answer_of(const http::Response& response) {
  MINERVA_ASSIGN(Json json, wire::parse_json(response.body, {.values_max = kValuesMax}));
  if (response.head.status == 200) return json;
  const Json* error = json.is_object() ? wire::find(json, "error") : nullptr;
  const Json* message = error != nullptr ? wire::find(*error, "message") : nullptr;
  if (message != nullptr && message->is_string()) {
    return fail(ErrorCode::InvalidArgument, message->get<std::string>());
  }
  return fail(ErrorCode::Unavailable,
              fmt::format("the server answered with status {}", response.head.status));
}

}  // namespace

Result<void> embed_texts(const Context& context, const EmbedVerbOptions& options) {
  ignore_broken_pipes();
  MINERVA_ASSIGN(const std::vector<std::string> texts, texts_of(options));
  MINERVA_ASSIGN(const Peer peer, find_peer(context, options.model));
  http::ClientOptions client_options;
  client_options.host = peer.host;
  client_options.port = peer.port;
  client_options.read_timeout = kSilenceMax;
  const http::Client client(client_options);
  for (std::size_t first = 0; first < texts.size(); first += kTextsPerCall) {
    const std::size_t end = std::min(first + kTextsPerCall, texts.size());
    Json body = {{"model", peer.model}, {"input", Json::array()}};
    for (std::size_t i = first; i < end; ++i) body["input"].push_back(texts[i]);
    if (options.dimensions != 0) body["dimensions"] = options.dimensions;
    if (options.truncate) body["truncate"] = true;
    MINERVA_ASSIGN(const http::Response response,
                   client.post_json("/v1/embeddings", wire::dump_json(body)));
    MINERVA_ASSIGN(const Json answer, answer_of(response));
    const Json* data = wire::find(answer, "data");
    if (data == nullptr || !data->is_array() || data->size() != end - first) {
      return fail(ErrorCode::Unavailable, "the server gave another number of vectors");
    }
    for (const Json& entry : *data) {
      const Json* vector = entry.is_object() ? wire::find(entry, "embedding") : nullptr;
      if (vector == nullptr) return fail(ErrorCode::Unavailable, "the server gave no vector");
      MINERVA_TRY(write_out(wire::dump_json(*vector) + "\n"));
    }
  }
  return {};
}

}  // namespace minerva::cli
