// One call's life: waits for a connection, sends, reads the head and the body, gives the events and
// one end. Private to this room. On the loop's thread, but for the members of UpstreamCall.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "backend/child/upstream.h"
#include "backend/child/upstream_pool.h"
#include "wire/http_body.h"
#include "wire/http_response.h"
#include "wire/sse.h"

namespace minerva::backend {

class PooledCall final : public UpstreamCall, public std::enable_shared_from_this<PooledCall> {
 public:
  PooledCall(std::shared_ptr<UpstreamPool> pool, UpstreamRequest request,
             std::shared_ptr<UpstreamHandler> handler);

  void cancel() override;
  void pause() override;
  void resume() override;

  // The pool's side.
  void begin();  // the call was accepted; may wait
  void run_on(std::shared_ptr<PooledConnection> connection);
  void end_with(Error error);

 private:
  enum class Stage : std::uint8_t { Waiting, Connecting, Sending, Head, Body, Ended };
  using ErrorCodeOfOs = boost::system::error_code;

  void send();
  void read();
  void on_read(ErrorCodeOfOs error, std::size_t count);
  void on_closed(ErrorCodeOfOs error);
  // False: the call has ended.
  bool take_head(std::string_view& bytes);
  bool take_body(std::string_view& bytes);
  void go_on();  // gives what waits, then ends or reads on
  void complete();
  bool retried(ErrorCodeOfOs error);
  Error broken(std::string_view what) const;
  Error transport_error(ErrorCodeOfOs error) const;
  void finish(std::optional<Error> error);

  // --- bounds of time ---
  using SteadyTime = std::chrono::steady_clock::time_point;
  std::optional<SteadyTime> due() const;
  void arm();
  void on_timer();

  const std::shared_ptr<UpstreamPool> pool_;
  const UpstreamRequest request_;
  std::shared_ptr<UpstreamHandler> handler_;
  std::string head_and_body_;  // what is sent
  std::shared_ptr<PooledConnection> connection_;
  Stage stage_ = Stage::Waiting;
  unsigned fresh_retries_ = 0;
  bool may_reuse_ = true;   // not after a used connection has failed
  bool any_bytes_ = false;  // of the answer
  bool paused_ = false;
  bool delivering_ = false;
  bool reading_ = false;
  bool surplus_ = false;  // bytes behind the answer's end
  std::optional<ErrorCodeOfOs> closed_;
  std::optional<Error> problem_;  // ends the call once what came before it was given

  std::optional<wire::ResponseHeadParser> head_;
  std::optional<wire::BodyDecoder> body_;
  wire::SseParser sse_;
  std::string decoded_;
  std::vector<wire::SseEvent> parsed_;
  std::deque<wire::SseEvent> waiting_;  // while paused
  std::size_t comments_ = 0;
  UpstreamEnd end_;

  boost::asio::steady_timer timer_;
  std::optional<SteadyTime> timer_at_;
  SteadyTime started_, stage_started_, last_bytes_;
};

}  // namespace minerva::backend
