#include "api/openai/models.h"

#include "api/engines.h"
#include "api/error_table.h"
#include "base/log.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {
namespace {

using wire::Json;

Json to_json(const serve::ModelInfo& model) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
  };
  Json ours = {{"state", state_name(model.state)},
               {"backend", text_or_null(model.backend)},
               {"format", text_or_null(model.format)},
               {"architecture", text_or_null(model.architecture)},
               {"source", text_or_null(model.source)},
               {"aliases", model.aliases},
               {"context_size", nullptr},
               {"size_bytes", model.size_bytes}};
  if (model.context_size != 0) ours["context_size"] = model.context_size;
  if (model.load_percent) ours["load_percent"] = *model.load_percent;
  if (!model.chat_template.empty()) ours["chat_template"] = model.chat_template;
  if (!model.problem.empty()) ours["problem"] = client_words(escape_controls(model.problem));
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.created_unix},
          {"owned_by", "minerva"},
          {"minerva", std::move(ours)}};
}

}  // namespace

std::string models_body(std::span<const serve::ModelInfo> models) {
  Json data = Json::array();
  for (const serve::ModelInfo& model : models) data.push_back(to_json(model));
  return wire::dump_json({{"object", "list"}, {"data", std::move(data)}});
}

std::string model_body(const serve::ModelInfo& model) { return wire::dump_json(to_json(model)); }

}  // namespace minerva::api::openai
