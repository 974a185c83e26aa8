#include "http/error_reply.h"

#include <string>
#include <utility>

#include "api/openai/error_answer.h"

namespace minerva::http {
namespace {

ErrorCode code_of(unsigned status) {
  switch (status) {
    case 403:
      return ErrorCode::Forbidden;
    case 404:
      return ErrorCode::NotFound;
    case 408:
      return ErrorCode::Timeout;
    case 413:
      return ErrorCode::TooLarge;
    case 429:
      return ErrorCode::QueueFull;
    case 503:
      return ErrorCode::Unavailable;
    default:
      return ErrorCode::InvalidArgument;
  }
}

}  // namespace

Reply error_reply(const Error& error) {
  api::ErrorAnswer answer = api::openai::error_answer(error);
  Reply reply;
  reply.status = answer.status;
  reply.body = std::move(answer.body);
  if (answer.retry_after_seconds != 0)
    reply.fields.push_back({"retry-after", std::to_string(answer.retry_after_seconds)});
  return reply;
}

Reply refusal_reply(const wire::Refusal& refusal) {
  Reply reply = error_reply({code_of(refusal.status), refusal.message});
  reply.status = refusal.status;
  return reply;
}

}  // namespace minerva::http
