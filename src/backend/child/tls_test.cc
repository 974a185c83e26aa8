// TLS to a server whose certificate is made here: who is trusted, and for which name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "backend/child/test_server.h"
#include "backend/child/upstream.h"
#include "process/port.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

struct Identity {
  std::string certificate;  // PEM
  std::string key;
};

std::string contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

// Signed by itself, for localhost.
Identity make_identity() {
  const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Freed<X509_free>> cert(X509_new());
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 3600);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> names(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost"));
  X509_add_ext(cert.get(), names.get(), -1);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  const std::unique_ptr<BIO, Freed<BIO_free>> cert_out(BIO_new(BIO_s_mem()));
  const std::unique_ptr<BIO, Freed<BIO_free>> key_out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(cert_out.get(), cert.get());
  PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {contents(cert_out.get()), contents(key_out.get())};
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    const Identity identity = make_identity();
    server_tls_.use_certificate(boost::asio::buffer(identity.certificate),
                                boost::asio::ssl::context::pem);
    server_tls_.use_private_key(boost::asio::buffer(identity.key), boost::asio::ssl::context::pem);
    trusted_ = *folder_.write_secret("ca.pem", identity.certificate);
  }
  Result<UpstreamEnd> ask(const std::string& host, const std::string& ca_file) {
    TestServer server(
        [](TestConnection& connection, int) {
          while (!connection.read_request().empty()) {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
          }
        },
        &server_tls_);
    UpstreamOptions options;
    options.name = "remote:office";
    options.address.host = host;
    options.address.port = server.port();
    options.address.tls = true;
    options.address.ca_file = ca_file;
    MINERVA_ASSIGN(const auto upstream, Upstream::make(std::move(options), loop_));
    UpstreamRequest request;
    request.path = "/x";
    request.body = "{}";
    request.total_max = std::chrono::seconds(30);
    MINERVA_TRY(upstream->exchange(request));
    return upstream->exchange(request);  // the second one over the same connection
  }

  const process::PrivateFolder folder_ = *process::PrivateFolder::make("minerva-tls-");
  boost::asio::ssl::context server_tls_{boost::asio::ssl::context::tls_server};
  std::string trusted_;
  UpstreamLoop loop_;
};

TEST_F(TlsTest, ATrustedServerIsTalkedTo) {
  const auto answer = ask("localhost", trusted_);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "secret");
}

TEST_F(TlsTest, AnUnknownAuthorityIsNot) {
  const auto refused = ask("localhost", "");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("certificate verify failed"));
}

TEST_F(TlsTest, AnotherNameIsNot) {
  const auto refused = ask("127.0.0.1", trusted_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("certificate verify failed"));
}

}  // namespace
}  // namespace minerva::backend
