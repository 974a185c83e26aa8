// A model's name as a client may write it. The grammar leaves nothing that a path, a shell or a
// terminal would read in its own way; a name is then only ever compared with the names of files
// found in the model folders, never joined to a path (docs: security, S36).
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace minerva::models {

// Parts of [A-Za-z0-9._-], joined by '/' or ':' ("org/model:tag"), each begun by a letter, a digit
// or '_' and not ended by '.'; no ".."; at most kModelNameBytesMax bytes. Immutable.
inline constexpr std::size_t kModelNameBytesMax = 200;

class ModelName {
 public:
  static Result<ModelName> parse(std::string_view text);
  const std::string& text() const { return text_; }

  friend auto operator<=>(const ModelName&, const ModelName&) = default;

 private:
  explicit ModelName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace minerva::models
