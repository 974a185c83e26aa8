#include "models/code_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/log.h"
#include "base/sha256.h"

namespace minerva::models {
namespace {

// model_file: mlx-lm; auto_map, trust_remote_code: transformers; custom_ops_library: ONNX Runtime.
constexpr std::string_view kKeys[] = {"model_file", "auto_map", "trust_remote_code",
                                      "custom_ops_library"};
constexpr std::string_view kScripts[] = {".py", ".pyw", ".pyc", ".pyd"};
constexpr std::string_view kLibraries[] = {".so", ".dll", ".dylib"};
// Here keys are words of a vocabulary, and each has a number.
constexpr std::string_view kVocabularies[] = {"tokenizer.json", "vocab.json", "added_tokens.json"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

template <class Names>
bool ends_with_one_of(std::string_view name, const Names& endings) {
  return std::ranges::any_of(endings, [&](std::string_view end) { return name.ends_with(end); });
}

bool is_script(std::string_view name) { return ends_with_one_of(lower(name), kScripts); }
bool is_library(std::string_view name) {
  const std::string plain = lower(name);
  return ends_with_one_of(plain, kLibraries) || plain.contains(".so.");
}
bool is_json(std::string_view name) { return lower(name).ends_with(".json"); }

// Stops at the first key that counts. Duplicates are all seen, whichever of them a reader takes.
class KeyFinder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit KeyFinder(bool vocabulary) : vocabulary_(vocabulary) {}
  const std::string& found() const { return found_; }
  bool broken() const { return broken_; }

  bool null() override { return value(false); }
  bool boolean(bool) override { return value(false); }
  bool number_integer(number_integer_t) override { return value(true); }
  bool number_unsigned(number_unsigned_t) override { return value(true); }
  bool number_float(number_float_t, const string_t&) override { return value(true); }
  bool string(string_t&) override { return value(false); }
  bool binary(binary_t&) override { return value(false); }
  bool start_object(std::size_t) override { return value(false); }
  bool start_array(std::size_t) override { return value(false); }
  bool end_object() override { return true; }
  bool end_array() override { return true; }
  bool key(string_t& name) override {
    const auto at = std::ranges::find(kKeys, std::string_view(name));
    if (at != std::end(kKeys)) waiting_ = *at;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    broken_ = true;
    return false;
  }

 private:
  // The value of the key before it.
  bool value(bool number) {
    if (waiting_.empty()) return true;
    if (!(vocabulary_ && number)) found_ = waiting_;
    waiting_ = {};
    return found_.empty();
  }

  const bool vocabulary_;
  bool broken_ = false;
  std::string_view waiting_;
  std::string found_;
};

bool names_a_key(std::string_view text) {
  return std::ranges::any_of(kKeys, [&](std::string_view key) { return text.contains(key); });
}

// Whether an escape could stand for a letter of a key: \u0040 to \u007f.
bool hides_letters(std::string_view text) {
  for (std::size_t at = text.find("\\u00"); at != std::string_view::npos;
       at = text.find("\\u00", at + 4)) {
    if (at + 4 < text.size() && text[at + 4] >= '4' && text[at + 4] <= '7') return true;
  }
  return false;
}

// The key in this JSON that brings code; empty: none.
std::string key_in(std::string_view text, std::string_view name) {
  // Python guesses UTF-16 and UTF-32 by their zeros.
  if (text.contains('\0')) return "zero bytes, so that its keys cannot be read";
  // Most files are done with here: a vocabulary of megabytes takes no parser.
  if (!names_a_key(text) && !hides_letters(text)) return {};
  KeyFinder finder(std::ranges::find(kVocabularies, name) != std::end(kVocabularies));
  static_cast<void>(nlohmann::json::sax_parse(text, &finder));
  if (!finder.found().empty()) return fmt::format("the key {}", finder.found());
  // Python's reader takes more than JSON (NaN, for one), so what ours does not read is not clean.
  if (finder.broken()) return "broken JSON around a key that brings code, or what may hide one";
  return {};
}

Result<std::string> hash_of(const ModelFolder& folder) {
  Sha256 all;
  for (const FolderFile& file : folder.files()) {
    if (!is_script(file.name()) && !is_library(file.name()) && !is_json(file.name())) continue;
    MINERVA_ASSIGN(const std::string text, folder.read(file));
    all.add(fmt::format("{}\n{}\n{}\n", file.path.size(), file.path, sha256_hex(text)));
  }
  return "sha256:" + all.hex();
}

Result<std::string> first_code(const ModelFolder& folder) {
  for (const FolderFile& file : folder.files()) {
    const std::string shown = escape_controls(file.path);
    if (is_script(file.name())) return fmt::format("the script {}", shown);
    if (is_library(file.name())) return fmt::format("the library {}", shown);
    if (!is_json(file.name()) || file.missing) continue;
    MINERVA_ASSIGN(const std::string text, folder.read(file));
    const std::string key = key_in(text, file.name());
    if (!key.empty()) return fmt::format("{} in {}", key, shown);
  }
  return std::string();
}

}  // namespace

Result<CodeScan> scan_code(const ModelFolder& folder) {
  CodeScan scan;
  MINERVA_ASSIGN(scan.found, first_code(folder));
  if (scan.found.empty()) return scan;
  MINERVA_ASSIGN(scan.hash, hash_of(folder));
  return scan;
}

Result<void> check_code(const ModelFolder& folder, std::span<const std::string> allow_code) {
  MINERVA_ASSIGN(const CodeScan scan, scan_code(folder));
  if (scan.found.empty() || std::ranges::find(allow_code, scan.hash) != allow_code.end()) return {};
  return fail(
      ErrorCode::InvalidModel,
      fmt::format("{}: it brings code of its own ({}), which engines in Python would run; if you "
                  "trust it, write allow_code = [\"{}\"] into config.toml",
                  folder.path(), scan.found, scan.hash));
}

}  // namespace minerva::models
