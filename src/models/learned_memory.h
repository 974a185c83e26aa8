// What loads of models really took, kept over restarts of the server in one small file: by engine,
// its version, the model's file and the context. Any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace minerva::models {

struct MemoryKey {
  std::string engine;
  std::string engine_version;
  std::string model;             // the file's or folder's name, without its path
  std::uint64_t size_bytes = 0;  // with its time, tells versions of the file apart
  std::int64_t modified_ns = 0;
  std::uint64_t context = 0;  // tokens, as it was asked for; 0: the engine's default
  friend bool operator==(const MemoryKey&, const MemoryKey&) = default;
};

class LearnedMemory {
 public:
  // Reads the file, where there is one. What is wrong in it is left out with a warning, and gone
  // with the next put().
  static std::shared_ptr<LearnedMemory> open(std::string path);

  std::optional<std::uint64_t> find(const MemoryKey& key) const;  // bytes
  // Writes the file anew, whole or not at all. Of two servers with one file the last writer wins.
  // Where it cannot be written, a warning says so once, and it is known until the server ends.
  void put(const MemoryKey& key, std::uint64_t bytes);

  static constexpr std::size_t kEntriesMax = 256;  // the oldest ones go

 private:
  using Entry = std::pair<MemoryKey, std::uint64_t>;

  explicit LearnedMemory(std::string path) : path_(std::move(path)) {}
  void read();
  bool write() const;  // needs the lock

  const std::string path_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // the newest last
  bool warned_ = false;
};

}  // namespace minerva::models
