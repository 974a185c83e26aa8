// The bytes under an HTTP connection: a Unix socket, TCP, or TLS over TCP. Used on the loop's
// thread only; callbacks come there too, never from inside the call that asks.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <functional>
#include <memory>

#include "backend/child/upstream.h"

namespace minerva::backend {

class Transport {
 public:
  using Connected = std::function<void(boost::system::error_code)>;
  using Done = std::function<void(boost::system::error_code, std::size_t)>;
  virtual ~Transport() = default;
  virtual void connect(Connected connected) = 0;
  // The buffers must outlive the callback, which comes with an error after close().
  virtual void read_some(boost::asio::mutable_buffer into, Done done) = 0;
  virtual void write(boost::asio::const_buffer bytes, Done done) = 0;
  virtual void close() = 0;
  // Nothing has arrived that nobody asked for: it may be used for another request.
  virtual bool quiet() = 0;
};

// With tls: checks certificates against `address.ca_file` or the system's authorities.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(const UpstreamAddress& address);

// `tls` is needed where the address asks for it, and outlives the transport.
std::shared_ptr<Transport> make_transport(boost::asio::io_context& io,
                                          const UpstreamAddress& address,
                                          const std::shared_ptr<boost::asio::ssl::context>& tls);

}  // namespace minerva::backend
