// Result<T>: a value or an Error. g++ 12's std::expected has no monadic members, so failures are
// passed on by MINERVA_TRY.
//
//   MINERVA_TRY(file.check());                    // returns the error, if there is one
//   MINERVA_ASSIGN(auto header, read_header(b));  // declares header, or returns the error
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/error.h"

namespace minerva {

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string param = {}) {
  return fail(Error{code, std::move(message), std::move(param)});
}

}  // namespace minerva

#define MINERVA_CONCAT_(a, b) a##b
#define MINERVA_CONCAT(a, b) MINERVA_CONCAT_(a, b)

#define MINERVA_TRY(expression)                                                          \
  do {                                                                                   \
    if (auto minerva_try_result = (expression); !minerva_try_result)                     \
      return ::std::unexpected<::minerva::Error>(std::move(minerva_try_result).error()); \
  } while (false)

#define MINERVA_ASSIGN(declaration, expression) \
  MINERVA_ASSIGN_(MINERVA_CONCAT(minerva_assign_, __LINE__), declaration, expression)
#define MINERVA_ASSIGN_(temporary, declaration, expression)                                 \
  auto temporary = (expression);                                                            \
  if (!temporary) return ::std::unexpected<::minerva::Error>(std::move(temporary).error()); \
  declaration = std::move(*temporary)
