#include "wire/data_uri.h"

#include <fmt/core.h>

#include <array>
#include <cstdint>

namespace minerva::wire {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 0xFF;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNone);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = (bits << 8U) | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out.push_back(j <= count ? kAlphabet[(bits >> (18U - 6U * j)) & 63U] : '=');
    }
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  text.remove_suffix(padding);
  std::string out;
  out.reserve(text.size() * 3 / 4 + 3);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::uint8_t value = kValues[static_cast<unsigned char>(c)];
    if (value == kNone) return std::nullopt;
    bits = (bits << 6U) | value;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>((bits >> count) & 0xFFU));
    }
  }
  // Bits left over by the padding must be 0, else two texts would mean the same bytes.
  if ((bits & ((1U << count) - 1U)) != 0) return std::nullopt;
  return out;
}

Result<DataUri> parse_data_uri(std::string_view uri, std::size_t bytes_max) {
  if (lower(uri.substr(0, 5)) != "data:") {
    return fail(ErrorCode::InvalidArgument, "only data: URLs are read; nothing is fetched");
  }
  const std::size_t comma = uri.find(',');
  if (comma == std::string_view::npos) {
    return fail(ErrorCode::InvalidArgument, "this data: URL has no comma");
  }
  const std::string header = lower(uri.substr(5, comma - 5));
  if (!header.ends_with(";base64")) {
    return fail(ErrorCode::InvalidArgument, "this data: URL is not base64");
  }
  const std::string_view encoded = uri.substr(comma + 1);
  if (encoded.size() / 4 > bytes_max / 3 + 1) {
    return fail(ErrorCode::TooLarge, fmt::format("{} bytes of base64 hold more than {} bytes",
                                                 encoded.size(), bytes_max));
  }
  auto bytes = base64_decode(encoded);
  if (!bytes) return fail(ErrorCode::InvalidArgument, "this data: URL is not valid base64");
  if (bytes->size() > bytes_max) {
    return fail(ErrorCode::TooLarge,
                fmt::format("{} bytes, where {} are allowed", bytes->size(), bytes_max));
  }
  return DataUri{header.substr(0, header.find(';')), std::move(*bytes)};
}

}  // namespace minerva::wire
