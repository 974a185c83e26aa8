#include "base/error.h"

namespace minerva {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "invalid_argument";
    case ErrorCode::InvalidModel:
      return "invalid_model";
    case ErrorCode::Unsupported:
      return "unsupported";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::Forbidden:
      return "forbidden";
    case ErrorCode::TooLarge:
      return "too_large";
    case ErrorCode::ContextExceeded:
      return "context_exceeded";
    case ErrorCode::QueueFull:
      return "queue_full";
    case ErrorCode::Unavailable:
      return "unavailable";
    case ErrorCode::Timeout:
      return "timeout";
    case ErrorCode::Cancelled:
      return "cancelled";
    case ErrorCode::OutOfMemory:
      return "out_of_memory";
    case ErrorCode::Io:
      return "io";
    case ErrorCode::Internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace minerva
