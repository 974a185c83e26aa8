#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "process/output_log.h"

namespace minerva::process {

Result<OutputLog> OutputLog::open(std::string path, Limits limits) {
  OutputLog log(limits);
  log.path_ = std::move(path);
  if (!log.path_.empty()) MINERVA_TRY(log.open_file());
  return log;
}

Result<void> OutputLog::open_file() {
  // O_NONBLOCK: a pipe of that name must not hold us up.
  file_ = FileDescriptor(::open(
      path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!file_) {
    return fail(ErrorCode::Io, fmt::format("log file {}: {}{}", path_, std::strerror(errno),
                                           errno == ELOOP ? " (a symlink is not followed)" : ""));
  }
  struct ::stat info{};
  if (::fstat(file_.number(), &info) != 0 || !S_ISREG(info.st_mode)) {
    file_.reset();
    return fail(ErrorCode::Io, fmt::format("log file {}: not a regular file", path_));
  }
  if (info.st_uid != ::geteuid()) {
    file_.reset();
    return fail(ErrorCode::Io, fmt::format("log file {}: belongs to user {}, we are user {}", path_,
                                           info.st_uid, ::geteuid()));
  }
  if ((info.st_mode & 077) != 0 && ::fchmod(file_.number(), 0600) != 0) {
    return fail(ErrorCode::Io, fmt::format("log file {}: {}", path_, std::strerror(errno)));
  }
  file_bytes_ = static_cast<std::uint64_t>(info.st_size);
  return {};
}

void OutputLog::append(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      end_line();
      continue;
    }
    if (carriage_return_) {
      line_.clear();
      cut_bytes_ = 0;
    }
    carriage_return_ = c == '\r';
    if (carriage_return_) continue;
    if (line_.size() < limits_.line_bytes_max) {
      line_.push_back(c);
    } else {
      ++cut_bytes_;
    }
  }
}

void OutputLog::finish() {
  if (!line_.empty()) end_line();
}

void OutputLog::end_line() {
  std::string line = escape_controls(line_);
  if (cut_bytes_ > 0) line += fmt::format(" [{} bytes more]", cut_bytes_);
  line_.clear();
  cut_bytes_ = 0;
  carriage_return_ = false;
  if (file_) write_file(line + "\n");
  lines_.push_back(std::move(line));
  while (lines_.size() > limits_.lines_max) lines_.pop_front();
}

void OutputLog::write_file(const std::string& line) {
  if (file_bytes_ > 0 && file_bytes_ + line.size() > limits_.file_bytes_max) {
    file_.reset();
    file_bytes_ = 0;
    const auto opened = std::rename(path_.c_str(), (path_ + ".1").c_str()) == 0
                            ? open_file()
                            : fail(ErrorCode::Io, std::strerror(errno));
    if (!opened) {
      file_.reset();
      log_warning("log file {} ends here: {}", path_, opened.error().message);
      return;
    }
  }
  std::string_view rest = line;
  while (!rest.empty()) {
    const ::ssize_t size = ::write(file_.number(), rest.data(), rest.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      log_warning("log file {} ends here: {}", path_, std::strerror(errno));
      file_.reset();
      return;
    }
    file_bytes_ += static_cast<std::uint64_t>(size);
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::vector<std::string> OutputLog::last(std::size_t count) const {
  const auto from = lines_.end() - static_cast<std::ptrdiff_t>(std::min(count, lines_.size()));
  return {from, lines_.end()};
}

}  // namespace minerva::process
