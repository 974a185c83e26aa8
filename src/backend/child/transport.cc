#include "backend/child/transport.h"

#include <fmt/core.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <utility>

namespace minerva::backend {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Generic = asio::generic::stream_protocol;

// Sockets of either family, with the addresses found one after another.
class PlainTransport : public Transport, public std::enable_shared_from_this<PlainTransport> {
 public:
  PlainTransport(asio::io_context& io, UpstreamAddress address)
      : io_(io), address_(std::move(address)), socket_(io), resolver_(io) {}

  void connect(Connected connected) override {
    if (!address_.socket_path.empty()) {
      endpoints_.emplace_back(asio::local::stream_protocol::endpoint(address_.socket_path));
      return connect_next({}, std::move(connected));
    }
    error_code failed;
    const auto literal = asio::ip::make_address(address_.host, failed);
    if (!failed) {
      endpoints_.emplace_back(asio::ip::tcp::endpoint(literal, address_.port));
      return connect_next({}, std::move(connected));
    }
    resolver_.async_resolve(
        address_.host, std::to_string(address_.port), asio::ip::tcp::resolver::numeric_service,
        [self = shared_from_this(), connected = std::move(connected)](
            error_code error, const asio::ip::tcp::resolver::results_type& found) mutable {
          if (error) return connected(error);
          for (const auto& entry : found) self->endpoints_.emplace_back(entry.endpoint());
          self->connect_next(asio::error::host_not_found, std::move(connected));
        });
  }

  void read_some(asio::mutable_buffer into, Done done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write(asio::const_buffer bytes, Done done) override {
    asio::async_write(socket_, bytes, std::move(done));
  }
  void close() override {
    closed_ = true;
    error_code ignored;
    resolver_.cancel();
    socket_.close(ignored);
  }
  bool quiet() override {
    error_code failed;
    const std::size_t waiting = socket_.available(failed);
    return !failed && waiting == 0;
  }

 protected:
  Generic::socket& socket() { return socket_; }

 private:
  void connect_next(error_code last, Connected connected) {
    if (closed_) last = asio::error::operation_aborted;
    if (closed_ || endpoints_.empty()) {
      asio::post(io_, [last, connected = std::move(connected)] { connected(last); });
      return;
    }
    const Generic::endpoint next = endpoints_.front();
    endpoints_.pop_front();
    error_code ignored;
    socket_.close(ignored);
    socket_.async_connect(next, [self = shared_from_this(),
                                 connected = std::move(connected)](error_code error) mutable {
      if (error) return self->connect_next(error, std::move(connected));
      error_code not_tcp;
      self->socket_.set_option(asio::ip::tcp::no_delay(true), not_tcp);
      connected({});
    });
  }

  asio::io_context& io_;
  const UpstreamAddress address_;
  Generic::socket socket_;
  asio::ip::tcp::resolver resolver_;
  std::deque<Generic::endpoint> endpoints_;
  bool closed_ = false;
};

class TlsTransport final : public PlainTransport {
 public:
  TlsTransport(asio::io_context& io, const UpstreamAddress& address,
               std::shared_ptr<asio::ssl::context> tls)
      : PlainTransport(io, address),
        tls_(std::move(tls)),
        host_(address.host),
        stream_(socket(), *tls_) {}

  void connect(Connected connected) override {
    PlainTransport::connect(
        [self = shared_from_this(), this, connected = std::move(connected)](error_code error) {
          if (error) return connected(error);
          // The name is sent in the clear so that the server shows the right certificate.
          SSL_set_tlsext_host_name(stream_.native_handle(), host_.c_str());
          stream_.set_verify_mode(asio::ssl::verify_peer, error);
          if (!error) stream_.set_verify_callback(asio::ssl::host_name_verification(host_), error);
          if (error) return connected(error);
          stream_.async_handshake(asio::ssl::stream_base::client,
                                  [self, connected](error_code failed) { connected(failed); });
        });
  }
  void read_some(asio::mutable_buffer into, Done done) override {
    stream_.async_read_some(into, std::move(done));
  }
  void write(asio::const_buffer bytes, Done done) override {
    asio::async_write(stream_, bytes, std::move(done));
  }

 private:
  const std::shared_ptr<asio::ssl::context> tls_;
  const std::string host_;
  asio::ssl::stream<Generic::socket&> stream_;
};

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const UpstreamAddress& address) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code failed;
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1,
                   failed);
  if (!failed && address.ca_file.empty()) tls->set_default_verify_paths(failed);
  if (!failed && !address.ca_file.empty()) tls->load_verify_file(address.ca_file, failed);
  if (failed) {
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("cannot read the certificates to trust ({}): {}",
                    address.ca_file.empty() ? "the system's" : address.ca_file, failed.message()),
        "ca_file");
  }
  return tls;
}

std::shared_ptr<Transport> make_transport(asio::io_context& io, const UpstreamAddress& address,
                                          const std::shared_ptr<asio::ssl::context>& tls) {
  if (tls != nullptr) return std::make_shared<TlsTransport>(io, address, tls);
  return std::make_shared<PlainTransport>(io, address);
}

}  // namespace minerva::backend
