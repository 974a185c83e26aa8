// LocalService's half that makes vectors.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "serve/local_service.h"
#include "serve/request_checks.h"

namespace minerva::serve {
namespace {

// What the tokenizer puts behind a text: what it gives for none, less what stands before.
Result<std::vector<TokenId>> ending_of(const text::Tokenizer& tokenizer) {
  constexpr text::EncodeOptions kSpecial = {.add_special = true};
  MINERVA_ASSIGN(auto none, tokenizer.encode("", kSpecial));
  MINERVA_ASSIGN(const auto some, tokenizer.encode("a", kSpecial));
  const auto differ = std::ranges::mismatch(none, some);
  none.erase(none.begin(), differ.in1);
  return none;
}

}  // namespace

Result<std::unique_ptr<Generation>> LocalService::embed(EmbeddingRequest request) {
  auto generation = admit_embedding(std::move(request));
  if (!generation) metrics_.add(Metric::RequestsTotal, 1, "rejected");
  return generation;
}

Result<std::unique_ptr<Generation>> LocalService::admit_embedding(EmbeddingRequest request) {
  const TimePoint started = clock_.now();
  request.timeout = bounded_timeout(request.timeout);
  MINERVA_TRY(check_embedding_request(request));
  MINERVA_ASSIGN(std::unique_ptr<Place> place, ledger_->enter());
  MINERVA_ASSIGN(const Model model, find_model(request.model));
  RouteAsks asks = wishes(request.backend, request.fallback, model);
  asks.embeddings = true;
  asks.truncate = request.truncate;
  asks.token_ids = std::ranges::any_of(request.inputs, [](const RawPrompt& input) {
    return std::holds_alternative<std::vector<TokenId>>(input);
  });
  const std::vector<RouteCandidate> engines = candidates(model);
  // Before the vocabulary is read: a model that no engine takes needs none.
  MINERVA_TRY(plan_route(asks, engines));
  MINERVA_ASSIGN(EmbedOrder order, prepare_embedding(request, model, asks));
  MINERVA_ASSIGN(const RoutePlan plan, plan_route(asks, engines));

  GenerationPlan answer;
  answer.model = model.entry.name;
  answer.backend = engines[plan.choices.front().candidate].name;
  answer.route = plan.choices.front().reason;
  answer.prompt_tokens = order.total();
  answer.choices = 0;
  answer.whole = true;
  answer.inputs = request.inputs.size();
  answer.dimensions = request.dimensions;
  answer.started = started;
  Job job = make_job(model, plan, started, request.timeout);
  job.embed = std::move(order);
  return launch(std::move(job), std::move(answer), std::move(place), request.timeout);
}

// Tokenizes, where the vocabulary is ours, and says how long the longest input is.
Result<EmbedOrder> LocalService::prepare_embedding(const EmbeddingRequest& request,
                                                   const Model& model, RouteAsks& asks) const {
  EmbedOrder out;
  out.order.id = request.id;
  out.order.client_id = request.client_id;
  MINERVA_ASSIGN(const auto text, text_of(model.entry));
  out.truncate = request.truncate;
  if (request.truncate && text == nullptr) {
    return fail(
        ErrorCode::Unsupported,
        fmt::format("{}: Minerva has no tokenizer of this model, and cuts off nothing that it "
                    "cannot count: ask without 'truncate'",
                    model.entry.name),
        "truncate");
  }
  if (request.truncate) {
    MINERVA_ASSIGN(out.ending, ending_of(text->tokenizer()));
  }
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const RawPrompt& input = request.inputs[i];
    const auto* words = std::get_if<std::string>(&input);
    if (words != nullptr) out.texts.push_back(*words);
    if (text == nullptr) continue;
    if (words == nullptr) {
      out.tokens.push_back(std::get<std::vector<TokenId>>(input));
    } else {
      // As sentence-transformers has it, also of a text that begins with "[CLS]".
      MINERVA_ASSIGN(auto tokens, text->tokenizer().encode(*words, {.add_special = true,
                                                                    .parse_special = true,
                                                                    .repeat_special = true}));
      out.tokens.push_back(std::move(tokens));
    }
    MINERVA_TRY(check_embedding_tokens(out.tokens.back(), i, text->tokenizer().vocab_size()));
    if (!request.truncate)
      asks.prompt_tokens = std::max(asks.prompt_tokens, out.tokens.back().size());
  }
  return out;
}

}  // namespace minerva::serve
