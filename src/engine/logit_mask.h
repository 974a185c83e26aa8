// A constraint on the next token. The sampler drives it: prepare() runs beside the forward pass,
// apply() before sampling, accept() after; rollback() takes accepted tokens back (speculation). One
// object a choice, used by one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/token.h"

namespace minerva::engine {

class LogitMask {
 public:
  virtual ~LogitMask() = default;
  // Works out which tokens may come next.
  virtual Result<void> prepare() = 0;
  // Sets the logits of all others to minus infinity.
  virtual void apply(std::span<float> logits) = 0;
  virtual Result<void> accept(TokenId token) = 0;
  virtual Result<void> rollback(std::size_t tokens) = 0;
  // A copy that goes its own way from here (n > 1).
  virtual std::unique_ptr<LogitMask> fork() const = 0;
};

}  // namespace minerva::engine
