#include <fmt/format.h>

#include <optional>

#include "backend/native/native_kind.h"
#include "base/log.h"
#include "cli/model_summary.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/folder_model.h"
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

// What is known of every model, whichever its format: the verdict and what it rests on.
wire::Json verdict(const models::ModelEntry& entry) {
  wire::Json out;
  out["name"] = entry.name;
  out["full_name"] = entry.full_name;
  out["path"] = entry.path;
  out["source"] = entry.source;
  out["kind"] = models::to_string(entry.kind);
  out["format"] = backend::to_string(entry.format);
  out["architecture"] = entry.architecture;
  out["size_bytes"] = entry.size_bytes;
  out["weight_type"] = entry.weight_type;
  out["context_trained"] = entry.context_length;
  out["kv_bytes_per_token"] = entry.kv_bytes_per_token;
  out["sees"] = entry.sees;
  out["mmproj"] = entry.mmproj_path.empty() ? wire::Json() : wire::Json(entry.mmproj_path);
  out["adapters"] = entry.adapter_paths;
  out["evidence"] = entry.evidence;
  out["own_code"] = entry.own_code.empty() ? wire::Json() : wire::Json(entry.own_code);
  out["problem"] = entry.problem.empty() ? wire::Json() : wire::Json(entry.problem);
  return out;
}

// What its weights say besides, and what our own engine makes of it.
void add_summary(wire::Json& out, const ModelSummary& summary) {
  out["general_name"] = summary.name;
  out["parameters"] = summary.parameters;
  wire::Json& weights = out["weights"] = wire::Json::array();
  for (const WeightShare& share : summary.weights)
    weights.push_back({{"type", share.type}, {"tensors", share.tensors}, {"bytes", share.bytes}});
  out["context_trained"] = summary.context.trained;
  out["context"] = summary.context.context;
  out["memory"] = {{"weights_bytes", summary.memory.weights_bytes},
                   {"context_bytes", summary.memory.kv_bytes},
                   {"overhead_bytes", summary.memory.overhead_bytes},
                   {"total_bytes", summary.memory.total()}};
  out["unsupported"] = summary.unsupported;
  out["warnings"] = summary.warnings;
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

std::string verdict_words(const models::ModelEntry& entry) {
  std::string out = fmt::format("{}\n", entry.name);
  out += fmt::format("  path          {}, {}\n", escape_controls(entry.path),
                     size_text(entry.size_bytes));
  out += fmt::format("  source        {}\n", entry.source);
  out += fmt::format("  format        {}{}\n", backend::to_string(entry.format),
                     entry.kind == models::ModelKind::Model
                         ? std::string()
                         : fmt::format(", {}", models::to_string(entry.kind)));
  for (const std::string& line : entry.evidence)
    out += fmt::format("    because     {}\n", escape_controls(line));
  if (!entry.mmproj_path.empty())
    out += fmt::format("  projector     {}\n", escape_controls(entry.mmproj_path));
  for (const std::string& adapter : entry.adapter_paths)
    out += fmt::format("  adapter       {}\n", escape_controls(adapter));
  return out;
}

// Of a model whose weights our own engine does not read.
std::string folder_words(const models::ModelEntry& entry) {
  std::string out;
  if (!entry.architecture.empty())
    out += fmt::format("  architecture  {}{}\n", entry.architecture,
                       entry.sees ? ", takes images" : "");
  if (!entry.weight_type.empty()) out += fmt::format("  weights       {}\n", entry.weight_type);
  if (entry.context_length != 0)
    out += fmt::format("  context       trained for {}\n", entry.context_length);
  if (entry.kv_bytes_per_token != 0)
    out += fmt::format("  memory        {} for the weights and {} for 1000 tokens\n",
                       size_text(entry.size_bytes), size_text(1000 * entry.kv_bytes_per_token));
  return out;
}

std::string summary_words(const ModelSummary& summary) {
  std::string out;
  if (!summary.name.empty()) out += fmt::format("  calls itself  {}\n", summary.name);
  out += fmt::format("  architecture  {}, {:.1f} M parameters\n", summary.architecture,
                     static_cast<double>(summary.parameters) / 1e6);
  for (const WeightShare& share : summary.weights) {
    out += fmt::format("  weights       {:6} {:5} tensors, {}\n", share.type, share.tensors,
                       size_text(share.bytes));
  }
  if (summary.context.context != 0) {
    out += fmt::format("  context       {} here, trained for {}\n", summary.context.context,
                       summary.context.trained);
    out +=
        fmt::format("  memory        {} for the weights, {} for one full context, {} to compute\n",
                    size_text(summary.memory.weights_bytes), size_text(summary.memory.kv_bytes),
                    size_text(summary.memory.overhead_bytes));
  }
  return out;
}

// What our own engine says against it.
std::string limits_words(const ModelSummary& summary, bool sees) {
  std::string out;
  for (const std::string& warning : summary.warnings)
    out += fmt::format("  warning       {}\n", escape_controls(warning));
  for (const std::string& what : summary.unsupported)
    out += fmt::format("  not supported {}\n", escape_controls(what));
  if (summary.unsupported.empty()) {
    out += fmt::format("  own engine    runs {}\n",
                       sees ? "its text; images are for other engines" : "it");
  }
  return out;
}

}  // namespace

Result<void> show_model(const Context& context, const ShowOptions& options) {
  MINERVA_ASSIGN(const models::ModelEntry entry, look_up_model(context.settings(), options.model));
  wire::Json facts = verdict(entry);
  std::string text = verdict_words(entry);
  if (!entry.problem.empty()) {
    MINERVA_TRY(write_out(options.json ? wire::dump_json(facts) + "\n" : text));
    return fail(ErrorCode::InvalidModel, entry.problem, "model");
  }
  ModelSummary summary;
  const auto objection = backend::native_objection(models::spec_of(entry));
  const bool gguf = entry.format == backend::ModelFormat::Gguf;
  bool readable = gguf || !objection;
  if (readable) {
    const auto file = models::open_model(entry.path);
    if (file) {
      summary = summarize(**file, models::spec_of(entry), context.settings());
    } else {
      readable = false;
      summary.unsupported.push_back(file.error().message);
    }
  }
  if (!entry.own_code.empty()) summary.warnings.push_back(entry.own_code);
  if (objection) summary.unsupported.insert(summary.unsupported.begin(), *objection);
  const auto vocabulary = models::load_vocabulary(entry.path);
  if (!vocabulary) summary.unsupported.push_back(vocabulary.error().message);
  if (readable) {
    add_summary(facts, summary);
  } else {
    facts["unsupported"] = summary.unsupported;
  }
  facts["own_engine"] = {{"runs", summary.unsupported.empty()}, {"images", false}};
  text += readable ? summary_words(summary) : folder_words(entry);
  if (vocabulary) {
    add_vocabulary(facts, **vocabulary);
    MINERVA_TRY(add_template(facts, *vocabulary));
    text += vocabulary_words(facts);
  }
  text += limits_words(summary, entry.sees);
  return write_out(options.json ? wire::dump_json(facts) + "\n" : text);
}

}  // namespace minerva::cli
