#include <fmt/format.h>

#include <optional>

#include "base/log.h"
#include "cli/model_summary.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/vocabulary_cache.h"
#include "serve/model_text.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

wire::Json token_json(const text::Tokenizer& tokenizer, std::optional<TokenId> id) {
  if (!id) return nullptr;
  return {{"id", *id}, {"text", tokenizer.piece(*id)}};
}

void add_vocabulary(wire::Json& out, const models::LoadedVocabulary& vocabulary) {
  const text::Tokenizer& tokenizer = *vocabulary.tokenizer;
  out["tokenizer"] = {{"model", tokenizer.model_name()},
                      {"pre", tokenizer.pre_name()},
                      {"tokens", tokenizer.vocab_size()},
                      {"adds_bos", tokenizer.adds_bos()},
                      {"adds_eos", tokenizer.adds_eos()}};
  wire::Json& special = out["special_tokens"];
  special["bos"] = token_json(tokenizer, tokenizer.bos());
  special["eos"] = token_json(tokenizer, tokenizer.eos());
  special["eot"] = token_json(tokenizer, tokenizer.eot());
  special["unk"] = token_json(tokenizer, tokenizer.unk());
  special["pad"] = token_json(tokenizer, tokenizer.pad());
  wire::Json& ends = special["end_of_generation"] = wire::Json::array();
  for (const TokenId id : tokenizer.end_of_generation()) ends.push_back(token_json(tokenizer, id));
}

Result<void> add_template(wire::Json& out,
                          const std::shared_ptr<const models::LoadedVocabulary>& vocabulary) {
  MINERVA_ASSIGN(const auto text, serve::ModelText::make(vocabulary));
  const auto& compiled = text->chat_template();
  out["chat_template"] = {
      {"own", !vocabulary->chat_template.empty()},
      {"note", text->template_note()},
      {"problem", compiled ? wire::Json() : wire::Json(compiled.error().message)}};
  return {};
}

wire::Json describe(const models::ModelEntry& entry, const ModelSummary& summary) {
  wire::Json out;
  out["name"] = entry.name;
  out["path"] = entry.path;
  out["general_name"] = summary.name;
  out["architecture"] = summary.architecture;
  out["parameters"] = summary.parameters;
  out["size_bytes"] = summary.file_bytes;
  wire::Json& weights = out["weights"] = wire::Json::array();
  for (const WeightShare& share : summary.weights)
    weights.push_back({{"type", share.type}, {"tensors", share.tensors}, {"bytes", share.bytes}});
  out["context_trained"] = summary.context.trained;
  out["context"] = summary.context.context;
  // The weights are packed at about their size in the file.
  out["memory"] = {{"weights_bytes", summary.file_bytes},
                   {"context_bytes", summary.context.kv_bytes},
                   {"total_bytes", summary.file_bytes + summary.context.kv_bytes}};
  out["unsupported"] = summary.unsupported;
  out["warnings"] = summary.warnings;
  return out;
}

std::string token_words(const wire::Json& token) {
  if (token.is_null()) return "none";
  return fmt::format("{} ({})", escape_controls(token["text"].get<std::string>()),
                     token["id"].get<TokenId>());
}

std::string vocabulary_words(const wire::Json& j) {
  const wire::Json& t = j["tokenizer"];
  const auto pre = escape_controls(t["pre"].get<std::string>());
  std::string out = fmt::format(
      "  tokenizer     {}{}, {} tokens{}{}\n", t["model"].get<std::string>(),
      pre.empty() ? "" : " (" + pre + ")", t["tokens"].get<std::size_t>(),
      t["adds_bos"].get<bool>() ? ", adds BOS" : "", t["adds_eos"].get<bool>() ? ", adds EOS" : "");
  const wire::Json& special = j["special_tokens"];
  out += fmt::format("  bos, eos      {}, {}\n", token_words(special["bos"]),
                     token_words(special["eos"]));
  std::vector<std::string> ends;
  for (const wire::Json& token : special["end_of_generation"]) ends.push_back(token_words(token));
  out += fmt::format("  ends answers  {}\n", fmt::join(ends, ", "));
  const wire::Json& chat = j["chat_template"];
  out += fmt::format("  chat template {}\n", escape_controls(chat["note"].get<std::string>()));
  return out;
}

std::string words(const wire::Json& j, const ModelSummary& summary) {
  std::string out = fmt::format("{}\n", j["name"].get<std::string>());
  if (!summary.name.empty()) out += fmt::format("  calls itself  {}\n", summary.name);
  out += fmt::format("  file          {}, {}\n", escape_controls(j["path"].get<std::string>()),
                     size_text(summary.file_bytes));
  out += fmt::format("  architecture  {}, {:.1f} M parameters\n", summary.architecture,
                     static_cast<double>(summary.parameters) / 1e6);
  for (const WeightShare& share : summary.weights) {
    out += fmt::format("  weights       {:6} {:5} tensors, {}\n", share.type, share.tensors,
                       size_text(share.bytes));
  }
  if (summary.context.context != 0) {
    out += fmt::format("  context       {} here, trained for {}\n", summary.context.context,
                       summary.context.trained);
    out += fmt::format("  memory        {} for the weights and {} for one full context\n",
                       size_text(summary.file_bytes), size_text(summary.context.kv_bytes));
  }
  if (j.contains("tokenizer")) out += vocabulary_words(j);
  for (const std::string& warning : summary.warnings)
    out += fmt::format("  warning       {}\n", escape_controls(warning));
  for (const std::string& what : summary.unsupported)
    out += fmt::format("  not supported {}\n", escape_controls(what));
  return out;
}

}  // namespace

Result<void> show_model(const Context& context, const ShowOptions& options) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  MINERVA_ASSIGN(const auto file, formats::GgufFile::open(entry.path));
  ModelSummary summary = summarize(*file, context.settings());
  const auto vocabulary = models::load_vocabulary(entry.path);
  if (!vocabulary) summary.unsupported.push_back(vocabulary.error().message);
  wire::Json facts = describe(entry, summary);
  if (vocabulary) {
    add_vocabulary(facts, **vocabulary);
    MINERVA_TRY(add_template(facts, *vocabulary));
  }
  if (options.json) return write_out(wire::dump_json(facts) + "\n");
  return write_out(words(facts, summary));
}

}  // namespace minerva::cli
