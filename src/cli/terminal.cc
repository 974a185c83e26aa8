#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace minerva::cli {
namespace {

std::string error_text() { return std::generic_category().message(errno); }

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::size_t terminal_columns(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

Result<std::string> read_stdin(std::size_t bytes_max) {
  std::string out;
  std::array<char, std::size_t{64} * 1024> buffer{};
  while (true) {
    const ssize_t count = ::read(kStdin, buffer.data(), buffer.size());
    if (count == 0) return out;
    if (count < 0) {
      if (errno == EINTR) continue;
      return fail(ErrorCode::Io, "cannot read standard input: " + error_text());
    }
    if (static_cast<std::size_t>(count) > bytes_max - out.size()) {
      return fail(ErrorCode::TooLarge,
                  fmt::format("standard input has more than {} bytes", bytes_max));
    }
    out.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Result<void> write_out(std::string_view bytes, int fd) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(ErrorCode::Io, "cannot write the output: " + error_text());
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

void tell(std::string_view text) {
  if (const auto written = write_out(text, kStderr); !written) return;
}

}  // namespace minerva::cli
