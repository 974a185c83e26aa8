// SHA-256 (FIPS 180-4), to tell one content from another. Not for secrets: it takes no care of how
// long it computes. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace minerva {

class Sha256 {
 public:
  void add(std::string_view bytes);
  // Of all that was added, as 64 lowercase hexadecimal digits. Ends the object's use.
  std::string hex();

 private:
  void block(const unsigned char* at);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> rest_{};  // what does not fill a block yet
  std::size_t rest_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace minerva
