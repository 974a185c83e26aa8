// What a child prints: its bytes become lines, the last of which are kept, and all of which go to a
// file where one is wanted. Bounded whatever the child prints: a line is cut at its limit, the file
// is renamed to "PATH.1" when it is full, so there are never more than two of them. A progress bar
// that draws over itself (\r) leaves its last state only. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "process/file_descriptor.h"

namespace minerva::process {

class OutputLog {
 public:
  struct Limits {
    std::size_t lines_max = 200;
    std::size_t line_bytes_max = 4096;
    std::uint64_t file_bytes_max = std::uint64_t{8} << 20;
  };

  // Fails where the file is a symlink, no file, or somebody else's. An empty path: no file.
  static Result<OutputLog> open(std::string path, Limits limits);

  void append(std::string_view bytes);
  void finish();  // what came after the last newline is a line too

  // The newest, oldest first; control characters escaped.
  std::vector<std::string> last(std::size_t count) const;

 private:
  explicit OutputLog(Limits limits) : limits_(limits) {}
  Result<void> open_file();
  void end_line();
  void write_file(const std::string& line);

  Limits limits_;
  std::deque<std::string> lines_;
  std::string line_;
  std::uint64_t cut_bytes_ = 0;  // of the line that is being read, behind the limit
  bool carriage_return_ = false;
  std::string path_;
  FileDescriptor file_;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace minerva::process
