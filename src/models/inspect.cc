#include "models/inspect.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <system_error>

#include "base/log.h"
#include "base/mapped_file.h"
#include "models/foreign_file.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

void inspect_file(ModelEntry& entry) {
  if (const std::string_view ending = unfinished_ending(entry.path); !ending.empty()) {
    entry.problem = fmt::format("{}: a download that is not finished (its name ends in {})",
                                entry.path, ending);
    return;
  }
  for (const char* control : {".aria2", ".part"}) {
    if (!is_there(entry.path + control)) continue;
    entry.problem = fmt::format(
        "{}: a download that is not finished: {}{} lies beside it; finish it, or delete that file",
        entry.path, fs::path(entry.path).filename().string(), control);
    return;
  }
  bool gguf = false;
  {
    const auto file = MappedFile::open(entry.path);
    if (!file) {
      entry.problem = file.error().message;
      return;
    }
    gguf = file_content((*file)->bytes()) == FileContent::Gguf;
    if (!gguf) {
      entry.problem =
          fmt::format("{}: {}", entry.path, foreign_file_words((*file)->bytes(), entry.path));
      return;
    }
  }
  inspect_gguf(entry);
  const std::string ending = fs::path(entry.path).extension().string();
  if (!ending.empty() && ending.size() < 16 && ending != ".gguf")
    entry.evidence.push_back(
        fmt::format("its name ends in {}, its content is GGUF", escape_controls(ending)));
}

ModelEntry inspect_path(const std::string& path, std::span<const std::string> allow_code) {
  ModelEntry entry;
  entry.path = path;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    entry.problem = fmt::format("{}: {}", path, error ? error.message() : "no such file");
    return entry;
  }
  if (fs::is_directory(status)) {
    const auto folder = ModelFolder::open(path);
    if (!folder) {
      entry.problem = folder.error().message;
      return entry;
    }
    inspect_folder(entry, *folder, allow_code);
    return entry;
  }
  // A pipe or a device could hold open() for ever, or never end.
  if (!fs::is_regular_file(status)) {
    entry.problem = fmt::format("{}: not a regular file", path);
    return entry;
  }
  entry.size_bytes = fs::file_size(path, error);
  const auto modified = fs::last_write_time(path, error);
  if (error) {
    entry.problem = fmt::format("{}: {}", path, error.message());
    return entry;
  }
  const auto since_epoch = std::chrono::file_clock::to_sys(modified).time_since_epoch();
  entry.modified_ns = std::chrono::nanoseconds(since_epoch).count();
  entry.modified_unix = std::chrono::floor<std::chrono::seconds>(since_epoch).count();
  inspect_file(entry);
  return entry;
}

}  // namespace minerva::models
