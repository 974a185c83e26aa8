// MINERVA_CHECK ends the program on our own mistake; it is always on. MINERVA_DCHECK is for hot
// paths and is on in debug and sanitizer builds. Neither is ever used on data from outside.
#pragma once

namespace minerva {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

#define MINERVA_CHECK(expression)          \
  (static_cast<bool>(expression) ? void(0) \
                                 : ::minerva::check_failed(#expression, __FILE__, __LINE__))

#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__)
#define MINERVA_DCHECK(expression) MINERVA_CHECK(expression)
#else
#define MINERVA_DCHECK(expression) static_cast<void>(sizeof(!(expression)))
#endif
