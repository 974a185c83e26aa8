#include "models/known_names.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "models/model_name.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamesShown = 20;
constexpr std::size_t kQuotedBytesMax = 80;
// "-00001-of-00003": five digits, twice.
constexpr std::size_t kPartSuffixBytes = 15;

std::string quoted(std::string_view text) {
  const bool cut = text.size() > kQuotedBytesMax;
  return fmt::format("'{}{}'", escape_controls(text.substr(0, kQuotedBytesMax)), cut ? "…" : "");
}

// Five digits as a number; 0 when they are not.
unsigned five_digits(std::string_view text) {
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

ModelStem model_stem(std::string_view path) {
  std::string stem = fs::path(path).filename().string();
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  const std::string_view view = stem;
  if (view.size() > kPartSuffixBytes) {
    const std::string_view suffix = view.substr(view.size() - kPartSuffixBytes);
    const unsigned part = five_digits(suffix.substr(1, 5));
    const unsigned parts = five_digits(suffix.substr(10, 5));
    if (suffix[0] == '-' && suffix.substr(6, 4) == "-of-" && part >= 1 && part <= parts) {
      return {std::string(view.substr(0, view.size() - kPartSuffixBytes)), part, parts};
    }
  }
  return {std::move(stem), 1, 1};
}

std::vector<std::string> nearest_first(std::string_view name, std::vector<std::string> names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (std::string& candidate : names) {
    const std::size_t distance =
        edit_distance(name, std::string_view(candidate).substr(0, kModelNameBytesMax));
    ranked.emplace_back(distance, std::move(candidate));
  }
  std::ranges::sort(ranked);
  std::ranges::transform(ranked, names.begin(),
                         [](auto& entry) { return std::move(entry.second); });
  return names;
}

Error unknown_model(std::string_view name, std::vector<std::string> names) {
  if (names.empty()) {
    return {ErrorCode::NotFound,
            fmt::format("unknown model {}: no model is known; put a .gguf file into "
                        "~/.minerva/models or give its path to --model",
                        quoted(name)),
            "model"};
  }
  names = nearest_first(name.substr(0, kModelNameBytesMax), std::move(names));
  const std::size_t left = names.size() - std::min(names.size(), kNamesShown);
  std::string list;
  for (std::size_t i = 0; i < names.size() - left; ++i) list += (i == 0 ? "" : ", ") + names[i];
  if (left > 0) list += fmt::format(" and {} more", left);
  return {ErrorCode::NotFound, fmt::format("unknown model {}; known: {}", quoted(name), list),
          "model"};
}

}  // namespace minerva::models
