// Small GGUF files for the parser: honest ones, and one for every way to lie (security.md calls
// them S01). The same table drives the parser's tests and is the fuzzer's seed corpus.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/gguf.h"
#include "support/gguf_writer.h"

namespace minerva::test {

// Every metadata type, an array of each kind, a tensor of each decodable type. Below 4 KB.
GgufWriter rich_gguf();
// Two keys and two F32 tensors "a" {4} and "b" {2, 2}: what the lies are told about.
GgufWriter plain_gguf();

struct HonestCase {
  std::string name;
  std::vector<std::byte> bytes;
};
std::vector<HonestCase> honest_gguf_cases();

struct HostileCase {
  std::string name;
  std::vector<std::byte> bytes;
  std::string message_part;  // the field, or the numbers, that the error must name
  ErrorCode code = ErrorCode::InvalidModel;
};
std::vector<HostileCase> hostile_gguf_cases();

}  // namespace minerva::test
