#include "models/learned_memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/log.h"
#include "formats/json_text.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uintmax_t kFileBytesMax = std::uintmax_t{1} << 20;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 50;
constexpr std::size_t kNameBytesMax = 300;

std::optional<std::uint64_t> number(const Json& entry, const char* name, std::uint64_t max) {
  const auto at = entry.find(name);
  if (at == entry.end() || !at->is_number_unsigned()) return std::nullopt;
  const auto value = at->get<std::uint64_t>();
  return value <= max ? std::optional(value) : std::nullopt;
}

std::optional<std::string> word(const Json& entry, const char* name) {
  const auto at = entry.find(name);
  if (at == entry.end() || !at->is_string()) return std::nullopt;
  auto value = at->get<std::string>();
  return value.size() <= kNameBytesMax ? std::optional(std::move(value)) : std::nullopt;
}

std::optional<std::pair<MemoryKey, std::uint64_t>> entry_of(const Json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto engine = word(entry, "engine"), version = word(entry, "engine_version"),
             model = word(entry, "model");
  constexpr std::uint64_t kAny = std::uint64_t{1} << 62U;
  const auto size = number(entry, "size_bytes", kAny),
             modified = number(entry, "modified_ns", kAny),
             context = number(entry, "context", kAny), bytes = number(entry, "bytes", kBytesMax);
  if (!engine || !version || !model || !size || !modified || !context || !bytes || *bytes == 0) {
    return std::nullopt;
  }
  return std::pair(
      MemoryKey{*engine, *version, *model, *size, static_cast<std::int64_t>(*modified), *context},
      *bytes);
}

Json json_of(const MemoryKey& key, std::uint64_t bytes) {
  return {{"engine", key.engine},
          {"engine_version", key.engine_version},
          {"model", key.model},
          {"size_bytes", key.size_bytes},
          {"modified_ns", static_cast<std::uint64_t>(std::max<std::int64_t>(key.modified_ns, 0))},
          {"context", key.context},
          {"bytes", bytes}};
}

}  // namespace

std::shared_ptr<LearnedMemory> LearnedMemory::open(std::string path) {
  std::shared_ptr<LearnedMemory> made(new LearnedMemory(std::move(path)));
  made->read();
  return made;
}

void LearnedMemory::read() {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path_, error);
  if (error) return;  // there is none yet
  if (size > kFileBytesMax) {
    log_warning("{}: {} bytes, at most {} are read: what loads took before is not known", path_,
                size, kFileBytesMax);
    return;
  }
  std::ifstream in(path_, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const auto json = formats::parse_json_text(text, {.depth_max = 8, .values_max = 100'000});
  const auto list = json && json->is_object() ? json->find("loads") : Json::const_iterator();
  if (!json || !json->is_object() || list == json->end() || !list->is_array()) {
    log_warning("{} is not read: {}", path_,
                json ? "it has no list of loads" : json.error().message);
    return;
  }
  std::size_t bad = 0;
  for (const Json& each : *list) {
    if (auto entry = entry_of(each)) {
      entries_.push_back(std::move(*entry));
    } else {
      ++bad;
    }
  }
  if (entries_.size() > kEntriesMax) {
    entries_.erase(entries_.begin(), entries_.end() - kEntriesMax);
  }
  if (bad > 0) log_warning("{}: {} of its entries make no sense and are left out", path_, bad);
}

std::optional<std::uint64_t> LearnedMemory::find(const MemoryKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(entries_, key, &Entry::first);
  return at == entries_.end() ? std::nullopt : std::optional(at->second);
}

void LearnedMemory::put(const MemoryKey& key, std::uint64_t bytes) {
  if (bytes == 0 || bytes > kBytesMax) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& entry) { return entry.first == key; });
  entries_.emplace_back(key, bytes);
  if (entries_.size() > kEntriesMax) entries_.erase(entries_.begin());
  if (write() || warned_) return;
  warned_ = true;
  log_warning("{} cannot be written: what loads take is forgotten when the server ends", path_);
}

bool LearnedMemory::write() const {
  Json list = Json::array();
  for (const auto& [key, bytes] : entries_) list.push_back(json_of(key, bytes));
  const std::string text =
      Json{{"loads", std::move(list)}}.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  const std::string fresh = path_ + ".new";
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return false;
  }
  fs::rename(fresh, path_, error);
  return !error;
}

}  // namespace minerva::models
