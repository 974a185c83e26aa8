// {"error":{"message","type","param","code"}} with its status, from the error table.
#pragma once

#include "api/dialect.h"

namespace minerva::api::openai {

ErrorAnswer error_answer(const Error& error);

}  // namespace minerva::api::openai
