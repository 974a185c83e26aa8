#include "support/fake_engine/options.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string_view>

namespace minerva::fake_engine {
namespace {

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string first_line(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string contents(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  using Milliseconds = std::chrono::milliseconds;
  const auto ms = [](const char* text) {
    return Milliseconds(static_cast<Milliseconds::rep>(number(text)));
  };
  const std::map<std::string_view, std::function<void(const char*)>> with_value = {
      {"--port", [&](auto v) { options.port = static_cast<unsigned>(number(v)); }},
      {"--socket", [&](auto v) { options.socket = v; }},
      {"--api-key-file", [&](auto v) { options.key = first_line(v); }},
      {"--zero-work", [&](auto v) { options.zero_work = number(v); }},
      {"--raw", [&](auto v) { options.raw = contents(v); }},
      {"--honest-requests", [&](auto v) { options.honest_requests = number(v); }},
      {"--model", [&](auto v) { options.model = v; }},
      {"--ctx-size", [&](auto v) { options.context_size = number(v); }},
      {"--end-one-in", [&](auto v) { options.end_one_in = static_cast<std::uint32_t>(number(v)); }},
      {"--script", [&](auto v) { options.script = v; }},
      {"--token-delay-ms", [&](auto v) { options.token_delay = ms(v); }},
      {"--slow-start-ms", [&](auto v) { options.slow_start = ms(v); }},
      {"--hang-at", [&](auto v) { options.hang_at = number(v); }},
      {"--spin-at", [&](auto v) { options.spin_at = number(v); }},
      {"--sigstop-at", [&](auto v) { options.sigstop_at = number(v); }},
      {"--die-at", [&](auto v) { options.die_at = number(v); }},
      {"--bad-sse", [&](auto v) { options.bad_sse = v; }},
      {"--lie", [&](auto v) { options.lie = v; }},
  };
  const std::map<std::string_view, bool*> switches = {
      {"--never-ready", &options.never_ready},
      {"--fail-load", &options.fail_load},
      {"--die-inside-character", &options.die_inside_character},
      {"--ignore-sigterm", &options.ignore_sigterm},
      {"--grandchild", &options.grandchild},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (const auto at = switches.find(flag); at != switches.end()) {
      *at->second = true;
    } else if (const auto valued = with_value.find(flag);
               valued != with_value.end() && i + 1 < argc) {
      valued->second(argv[++i]);
    } else {
      std::fprintf(stderr, "fake_engine: unknown flag or missing value: %s\n", argv[i]);
      std::exit(2);
    }
  }
  return options;
}

}  // namespace minerva::fake_engine
