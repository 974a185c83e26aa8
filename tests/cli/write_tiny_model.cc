// Writes the model that the tests of the program run: tests/cli/CMakeLists.txt.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <vector>

#include "formats/gguf.h"
#include "support/tiny_model.h"

namespace minerva::test {
namespace {

// Zeroes the end token's row of the embedding, which is the output matrix, too: its logit is 0,
// some other one is greater, so a greedy answer never ends by itself.
bool take_end_away(std::vector<std::byte>& bytes) {
  const auto file = formats::GgufFile::parse(bytes);
  if (!file) return false;
  const auto* embedding = (*file)->find_tensor("token_embd.weight");
  if (embedding == nullptr) return false;
  const auto at = std::ranges::search(bytes, embedding->data).begin();
  const auto row = static_cast<std::ptrdiff_t>(embedding->data.size() / kTinyVocabulary);
  if (bytes.end() - at < row * kTinyEnd + row) return false;
  std::fill_n(at + row * kTinyEnd, row, std::byte{0});
  return true;
}

int write_model(const char* path) {
  // Quantised, so that its answers are the same on every machine. The context is one that no test
  // fills by chance.
  auto bytes = tiny_model({.type = formats::DType::Q8_0, .context = 100'000}).bytes();
  if (!take_end_away(bytes)) return 1;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return 0;
  std::perror(path);
  return 1;
}

}  // namespace
}  // namespace minerva::test

int main(int argc, char** argv) { return argc == 2 ? minerva::test::write_model(argv[1]) : 2; }
