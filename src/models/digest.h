// The name of a blob by its content. The only way from a manifest's text to a file of a blob store.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::models {

// "sha256:" or "sha256-" and 64 lowercase hexadecimal digits, and nothing else. Immutable.
class Digest {
 public:
  static Result<Digest> parse(std::string_view text);
  const std::string& hex() const { return hex_; }
  std::string file_name() const { return "sha256-" + hex_; }

  friend bool operator==(const Digest&, const Digest&) = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

}  // namespace minerva::models
