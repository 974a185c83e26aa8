#include "process/port.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/check.h"
#include "process/file_descriptor.h"
#include "process/process_tree.h"

namespace minerva::process {
namespace {

constexpr std::string_view kListen = "0A";  // TCP_LISTEN, as /proc/net/tcp writes it

// Addresses at which 127.0.0.1 arrives: as the kernel prints them, words in the host's byte order.
std::string address_text(std::span<const std::uint32_t> words_big_endian) {
  std::string text;
  for (const std::uint32_t word : words_big_endian) text += fmt::format("{:08X}", htonl(word));
  return text;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == line.npos) return fields;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

void add_sockets(std::vector<ListeningSocket>& found, std::string_view table,
                 std::span<const std::string> addresses, std::uint16_t port, bool ipv6) {
  const std::string port_text = fmt::format("{:04X}", port);
  while (!table.empty()) {
    const std::size_t end = std::min(table.find('\n'), table.size());
    const auto fields = fields_of(table.substr(0, end));
    table.remove_prefix(std::min(end + 1, table.size()));
    // sl, local_address, rem_address, st, queues, timer, retransmits, uid, timeout, inode
    if (fields.size() < 10 || fields[3] != kListen) continue;
    const std::size_t colon = fields[1].find(':');
    if (colon == std::string_view::npos || fields[1].substr(colon + 1) != port_text) continue;
    if (std::ranges::find(addresses, fields[1].substr(0, colon)) == addresses.end()) continue;
    ListeningSocket socket{0, ipv6};
    std::from_chars(fields[9].data(), fields[9].data() + fields[9].size(), socket.inode);
    found.push_back(socket);
  }
}

std::string contents_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

void add_inodes(std::vector<std::uint64_t>& inodes, std::int64_t pid) {
  const std::string path = fmt::format("/proc/{}/fd", pid);
  const auto close = [](::DIR* folder) { ::closedir(folder); };
  const std::unique_ptr<::DIR, decltype(close)> folder(::opendir(path.c_str()));
  if (folder == nullptr) return;
  while (const ::dirent* entry = ::readdir(folder.get())) {
    std::array<char, 64> target{};
    const ::ssize_t size =
        ::readlinkat(::dirfd(folder.get()), entry->d_name, target.data(), target.size());
    const std::string_view text(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    constexpr std::string_view kSocket = "socket:[";
    if (!text.starts_with(kSocket)) continue;
    std::uint64_t inode = 0;
    std::from_chars(text.data() + kSocket.size(), text.data() + text.size(), inode);
    inodes.push_back(inode);
  }
}

}  // namespace

Result<std::uint16_t> free_loopback_port() {
  const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ::socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<::sockaddr*>(&address);
  if (!socket || ::bind(socket.number(), generic, size) != 0 ||
      ::getsockname(socket.number(), generic, &size) != 0) {
    return fail(ErrorCode::Io, fmt::format("no free port of 127.0.0.1: {}", std::strerror(errno)));
  }
  return ntohs(address.sin_port);
}

std::vector<ListeningSocket> listening_sockets(std::string_view tcp, std::string_view tcp6,
                                               std::uint16_t port) {
  const std::array<std::uint32_t, 1> loopback{INADDR_LOOPBACK};
  const std::array<std::uint32_t, 1> any{INADDR_ANY};
  const std::array<std::uint32_t, 4> any6{0, 0, 0, 0};
  const std::array<std::uint32_t, 4> mapped{0, 0, 0xffff, INADDR_LOOPBACK};
  const std::array<std::uint32_t, 4> mapped_any{0, 0, 0xffff, 0};
  const std::array<std::string, 2> addresses{address_text(loopback), address_text(any)};
  const std::array<std::string, 3> addresses6{address_text(any6), address_text(mapped),
                                              address_text(mapped_any)};
  std::vector<ListeningSocket> found;
  add_sockets(found, tcp, addresses, port, false);
  add_sockets(found, tcp6, addresses6, port, true);
  return found;
}

bool listens(std::int64_t pid, std::uint16_t port) {
  // Of the child's network namespace, should it have one of its own.
  auto sockets = listening_sockets(contents_of(fmt::format("/proc/{}/net/tcp", pid)),
                                   contents_of(fmt::format("/proc/{}/net/tcp6", pid)), port);
  // An IPv6 socket may be for IPv6 only, which the table does not say: it counts when no other
  // does.
  if (std::ranges::any_of(sockets, [](const ListeningSocket& s) { return !s.ipv6; })) {
    std::erase_if(sockets, [](const ListeningSocket& s) { return s.ipv6; });
  }
  if (sockets.empty()) return false;
  std::vector<std::uint64_t> inodes;
  add_inodes(inodes, pid);
  for (const ProcessStat& process : descendants(pid)) add_inodes(inodes, process.pid);
  return std::ranges::all_of(sockets, [&](const ListeningSocket& socket) {
    return std::ranges::find(inodes, socket.inode) != inodes.end();
  });
}

std::string random_key() {
  std::array<unsigned char, 32> bytes{};
  // Up to 256 bytes come whole and are never refused (getrandom(2)), except on kernels before 3.17.
  ::ssize_t size = 0;
  do {
    size = ::getrandom(bytes.data(), bytes.size(), 0);
  } while (size < 0 && errno == EINTR);
  MINERVA_CHECK(size == static_cast<::ssize_t>(bytes.size()));
  std::string key;
  for (const unsigned char byte : bytes) key += fmt::format("{:02x}", byte);
  return key;
}

}  // namespace minerva::process
