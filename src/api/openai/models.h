// The bodies of GET /v1/models and GET /v1/models/{id}.
#pragma once

#include <span>
#include <string>

#include "serve/types.h"

namespace minerva::api::openai {

std::string models_body(std::span<const serve::ModelInfo> models);
std::string model_body(const serve::ModelInfo& model);

}  // namespace minerva::api::openai
