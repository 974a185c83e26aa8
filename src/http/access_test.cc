#include "http/access.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace minerva::http {
namespace {

AccessRules rules() {
  AccessRules rules;
  rules.hosts = {"minerva.lan", "192.168.1.5"};
  rules.origins = {"https://chat.example"};
  rules.port = 11434;
  return rules;
}

wire::RequestHead request(std::vector<wire::Field> fields) {
  wire::RequestHead head;
  head.method = "GET";
  head.fields = std::move(fields);
  return head;
}

unsigned verdict(std::vector<wire::Field> fields) {
  const auto refusal = check_access(request(std::move(fields)), rules());
  return refusal ? refusal->status : 200;
}

TEST(Access, HostsThatAreOurs) {
  for (const char* host : {"localhost", "localhost:11434", "LOCALHOST", "LocalHost:11434",
                           "127.0.0.1", "127.0.0.1:11434", "127.255.0.3", "[::1]", "[::1]:11434",
                           "minerva.lan", "MINERVA.lan:11434", "192.168.1.5:11434"}) {
    EXPECT_TRUE(host_allowed(host, rules())) << host;
  }
}

TEST(Access, HostsThatAreNot) {
  for (const char* host : {"",
                           ":",
                           ":11434",
                           "evil.com",
                           "evil.com:11434",
                           "localhost.evil.com",
                           "127.0.0.1.nip.io",
                           "localhost.",
                           "localhost.:11434",
                           "printer.local",
                           "minerva.local",
                           "localhost:80",
                           "localhost:",
                           "localhost:+11434",
                           "localhost:11434 ",
                           "localhost:011434x",
                           "localhost:11434:11434",
                           "[::1]:80",
                           "[::1%25lo]",
                           "[::1%lo]:11434",
                           "::1",
                           "[::ffff:7f00:1]",
                           "[::]",
                           "0.0.0.0",
                           "0.0.0.0:11434",
                           "128.0.0.1",
                           "127.1",
                           "127.0.0.01",
                           "0177.0.0.1",
                           "2130706433",
                           "0x7f.0.0.1",
                           "127.0.0.256",
                           "127.0.0.1.1",
                           "127.0.0.",
                           "user@localhost",
                           "localhost/",
                           "a,localhost",
                           "192.168.1.6",
                           "xminerva.lan",
                           "10.0.0.1:11434"}) {
    EXPECT_FALSE(host_allowed(host, rules())) << host;
  }
}

TEST(Access, Origins) {
  const wire::Field host{"host", "localhost:11434"};
  EXPECT_EQ(verdict({host}), 200u);
  EXPECT_EQ(verdict({host, {"origin", "http://localhost:11434"}}), 200u);
  EXPECT_EQ(verdict({host, {"origin", "https://chat.example"}}), 200u);
  for (const char* origin :
       {"null", "", "http://evil.com", "https://localhost:11434", "http://localhost",
        "http://localhost:3000", "http://127.0.0.1:11434", "https://chat.example.evil.com",
        "https://chat.example/", "http://localhost:11434, https://chat.example", "file://"}) {
    EXPECT_EQ(verdict({host, {"origin", origin}}), 403u) << origin;
  }
  EXPECT_EQ(verdict({{"origin", "http://localhost:11434"}}), 403u);  // no Host: HTTP/1.0
}

TEST(Access, WhatTheBrowserSaysOfTheSite) {
  const wire::Field host{"host", "localhost:11434"};
  EXPECT_EQ(verdict({host, {"sec-fetch-site", "same-origin"}}), 200u);
  EXPECT_EQ(verdict({host, {"sec-fetch-site", "none"}}), 200u);
  EXPECT_EQ(verdict({host, {"sec-fetch-site", "same-site"}}), 403u);
  EXPECT_EQ(verdict({host, {"sec-fetch-site", "cross-site"}}), 403u);
  const wire::Field allowed{"origin", "https://chat.example"};
  EXPECT_EQ(verdict({host, allowed, {"sec-fetch-site", "cross-site"}}), 200u);
  EXPECT_EQ(verdict({host, allowed, {"access-control-request-private-network", "true"}}), 403u);
}

TEST(Access, OnlyAllowedPagesAreNamedBack) {
  const wire::Field host{"host", "localhost:11434"};
  EXPECT_EQ(cross_origin(request({host, {"origin", "https://chat.example"}}), rules()),
            "https://chat.example");
  EXPECT_FALSE(cross_origin(request({host, {"origin", "http://localhost:11434"}}), rules()));
  EXPECT_FALSE(cross_origin(request({host}), rules()));
}

TEST(Access, WhoAsksFromThisMachine) {
  const auto here = [](std::vector<wire::Field> fields, std::string_view peer) {
    return asks_from_here(request(std::move(fields)), peer);
  };
  const wire::Field host{"host", "localhost:11434"};
  EXPECT_TRUE(here({host}, "127.0.0.1"));
  EXPECT_TRUE(here({host}, "127.3.2.1"));
  EXPECT_TRUE(here({host}, "::1"));
  EXPECT_TRUE(here({host}, "::ffff:127.0.0.1"));
  EXPECT_TRUE(here({{"host", "[::1]:11434"}}, "::1"));
  EXPECT_FALSE(here({host}, "192.168.1.6"));
  EXPECT_FALSE(here({host}, "::ffff:192.168.1.6"));
  EXPECT_FALSE(here({host}, ""));
  EXPECT_FALSE(here({{"host", "minerva.lan"}}, "127.0.0.1"));
  EXPECT_FALSE(here({}, "127.0.0.1"));
  for (const char* field : {"forwarded", "x-forwarded-for", "x-real-ip", "via"})
    EXPECT_FALSE(here({host, {field, "x"}}, "127.0.0.1")) << field;
}

TEST(Access, Content) {
  const auto status = [](std::vector<wire::Field> fields) {
    wire::RequestHead head = request(std::move(fields));
    head.method = "POST";
    const auto refusal = check_content(head);
    return refusal ? refusal->status : 200;
  };
  EXPECT_EQ(status({{"content-type", "application/json"}}), 200u);
  EXPECT_EQ(status({{"content-type", "Application/JSON; charset=utf-8"}}), 200u);
  EXPECT_EQ(status({}), 415u);
  EXPECT_EQ(status({{"content-type", "text/plain"}}), 415u);
  EXPECT_EQ(status({{"content-type", "application/jsonx"}}), 415u);
  EXPECT_EQ(status({{"content-type", "text/plain; application/json"}}), 415u);
  EXPECT_EQ(status({{"content-type", "application/json"}, {"content-encoding", "gzip"}}), 415u);
  EXPECT_EQ(status({{"content-type", "application/json"}, {"content-encoding", "identity"}}), 200u);
}

}  // namespace
}  // namespace minerva::http
