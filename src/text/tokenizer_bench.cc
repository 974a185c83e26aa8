// Megabytes of text a second on one core, by vocabulary and kind of text, and what loading costs.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace minerva::text {
namespace {

std::string vocab_path(const std::string& name) {
  return std::string(MINERVA_SOURCE_DIR) + "/tests/data/vocab/ggml-vocab-" + name + ".gguf";
}

std::shared_ptr<const formats::GgufFile> open(const std::string& name) {
  auto file = formats::GgufFile::open(vocab_path(name));
  if (!file) {
    std::fprintf(stderr, "%s\n", file.error().message.c_str());
    std::exit(1);
  }
  return *file;
}

// MINERVA_BENCH_TEXT names a file of English; without it, a page of our own is repeated, which
// flatters the caches.
std::string english() {
  std::string text;
  if (const char* path = std::getenv("MINERVA_BENCH_TEXT")) {
    std::ifstream in(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::string page =
      "The owl looked down from the old oak, and nobody in the valley noticed her. She had counted "
      "forty-two lanterns that evening; thirty-nine had gone out before midnight, and the other "
      "three belonged to people who were still reading. \"It's late,\" she thought, \"but they "
      "wouldn't stop if I told them.\" Far below, the river carried leaves, twigs and a paper boat "
      "towards the mill, where the wheel had been still since the great frost of 1884.\n\n";
  while (text.size() < (1u << 20)) text += page;
  return text;
}

void encode(benchmark::State& state, const std::string& name, const std::string& text) {
  const auto tokenizer = Tokenizer::from_gguf(*open(name));
  if (!tokenizer) std::exit(1);
  std::size_t tokens = 0;
  for (auto _ : state) {
    tokens = (*tokenizer)->encode(text)->size();
    benchmark::DoNotOptimize(tokens);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  state.counters["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(tokens);
}

void load(benchmark::State& state, const char* name) {
  const auto file = open(name);
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::from_gguf(*file).has_value());
}

void english_text(benchmark::State& state, const char* name) { encode(state, name, english()); }

void one_letter_1mb(benchmark::State& state, const char* name) {
  encode(state, name, std::string(1u << 20, 'a'));
}

BENCHMARK_CAPTURE(english_text, gpt2, "gpt-2");
BENCHMARK_CAPTURE(english_text, llama_bpe, "llama-bpe");
BENCHMARK_CAPTURE(english_text, llama_spm, "llama-spm");
BENCHMARK_CAPTURE(one_letter_1mb, gpt2, "gpt-2");
BENCHMARK_CAPTURE(one_letter_1mb, llama_bpe, "llama-bpe");
BENCHMARK_CAPTURE(one_letter_1mb, llama_spm, "llama-spm");
BENCHMARK_CAPTURE(load, gpt2, "gpt-2");
BENCHMARK_CAPTURE(load, llama_bpe, "llama-bpe");
BENCHMARK_CAPTURE(load, llama_spm, "llama-spm");

}  // namespace
}  // namespace minerva::text
