// Every field of a request body that Minerva knows, in one table: the parser, docs/api.md and the
// tests read it. Private to this folder, but for the tests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/openai/draft.h"
#include "base/result.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::api::openai {

enum class FieldClass : std::uint8_t {
  Honoured,  // changes the answer, and does
  Refused,   // would change the answer and cannot: a 400 that names it, unless it asks for nothing
  Advisory,  // changes nothing here: accepted whatever it is
};

struct Field {
  // Numbers have a range, which is part of the documented table.
  enum class Number : std::uint8_t { No, Float, Integer };

  std::string_view name;
  std::uint8_t endpoints = kBoth;
  FieldClass kind = FieldClass::Honoured;
  std::string_view accepts;  // for the document; numbers say their range instead
  std::string_view note;     // for the document, and why a Refused one is refused
  Result<void> (*read)(const wire::Json& value, const Field& field, Draft& draft) = nullptr;
  Number number = Number::No;
  wire::Range<double> range = {0, 0};
};

std::span<const Field> field_table();

// The row for this endpoint; a row of the other endpoint only when there is none; null when
// unknown.
const Field* find_field(std::string_view name, Endpoints endpoint);

// "chat", "completions" or "both"; "number above 0 and up to 1"… as docs/api.md has them.
std::string_view endpoints_text(const Field& field);
std::string accepts_text(const Field& field);

}  // namespace minerva::api::openai
