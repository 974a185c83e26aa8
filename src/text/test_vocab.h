// The vocabularies of tests/data/vocab, and small ones written by hand. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace minerva::text {

inline std::string test_data(const std::string& name) {
  return std::string(MINERVA_SOURCE_DIR) + "/tests/data/" + name;
}

inline std::string read_test_data(const std::string& name) {
  std::ifstream in(test_data(name), std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::shared_ptr<const Tokenizer> open_tokenizer(const std::string& path) {
  const auto file = formats::GgufFile::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  auto tokenizer = Tokenizer::from_gguf(**file);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return nullptr;
  }
  return *tokenizer;
}

inline std::shared_ptr<const Tokenizer> shared_vocab(const std::string& name) {
  return open_tokenizer(test_data("vocab/ggml-vocab-" + name + ".gguf"));
}

}  // namespace minerva::text
