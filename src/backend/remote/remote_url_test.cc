#include "backend/remote/remote_url.h"

#include <gtest/gtest.h>

#include <string>

namespace minerva::backend {
namespace {

TEST(RemoteUrlTest, Addresses) {
  const auto plain = parse_remote_url("https://API.Example.com", false);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_TRUE(plain->tls);
  EXPECT_EQ(plain->host, "api.example.com");
  EXPECT_EQ(plain->port, 443);
  EXPECT_EQ(plain->base_path, "/v1");
  const auto full = parse_remote_url("http://127.0.0.1:8080/some/v1/", false);
  ASSERT_TRUE(full) << full.error().message;
  EXPECT_FALSE(full->tls);
  EXPECT_EQ(full->port, 8080);
  EXPECT_EQ(full->base_path, "/some/v1");
  const auto six = parse_remote_url("http://[::1]:11434", false);
  ASSERT_TRUE(six) << six.error().message;
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->port, 11434);
}

TEST(RemoteUrlTest, PlainHttpStaysNear) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1",
                           "172.31.255.255", "192.168.0.1", "[::1]", "[fd00::1]", "[fe80::1]"}) {
    EXPECT_TRUE(parse_remote_url(std::string("http://") + host, false)) << host;
  }
  for (const char* host :
       {"example.com", "8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "169.254.169.254",
        "11.0.0.1", "[2001:db8::1]", "localhost.evil.com", "[fd::1]"}) {
    EXPECT_FALSE(parse_remote_url(std::string("http://") + host, false)) << host;
    EXPECT_TRUE(parse_remote_url(std::string("http://") + host, true)) << host;
    EXPECT_TRUE(parse_remote_url(std::string("https://") + host, false)) << host;
  }
}

TEST(RemoteUrlTest, WhatTwoReadersCouldTakeForTwoHostsIsRefused) {
  for (const char* url : {"",
                          "example.com",
                          "ftp://example.com",
                          "https://",
                          "https:///v1",
                          "https://:443",
                          "https://user@example.com",
                          "https://user:key@example.com",
                          "https://a\\b",
                          "https://example.com:0",
                          "https://example.com:65536",
                          "https://example.com:1a",
                          "https://example.com:",
                          "https://exa mple.com",
                          "https://example.com/v1?x=1",
                          "https://example.com/v1#x",
                          "https://example.com/../v1",
                          "https://example.com//v1",
                          "https://0x7f.1",
                          "https://127.1",
                          "https://2130706433",
                          "https://0177.0.0.1",
                          "https://1.2.3.4.5",
                          "https://1.2.3.256",
                          "https://[::1",
                          "https://[example]",
                          "https://ex%61mple.com",
                          "https://example.com\r\nx",
                          "https://exämple.com"}) {
    EXPECT_FALSE(parse_remote_url(url, true)) << url;
  }
}

}  // namespace
}  // namespace minerva::backend
