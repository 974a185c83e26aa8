// Which of several servers that hold the same model gets a request: the one that has seen its
// beginning before, unless that one has much more to do than another; never one that has failed
// and not yet been tried again, or that has asked to be left alone. A pure value with time passed
// in; whoever owns it guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/breaker.h"
#include "backend/request.h"
#include "base/clock.h"

namespace minerva::backend {

class Replicas {
 public:
  // By their addresses. None is connected yet.
  explicit Replicas(std::vector<std::string> names, BreakerOptions breaker = {});

  // The next for this prompt, of those that are connected, allowed and not in `tried`. The caller
  // says begun() for it, and later how it went.
  std::optional<std::size_t> choose(std::uint64_t prompt_hash, const std::vector<bool>& tried,
                                    TimePoint now) const;
  void begun(std::size_t index, TimePoint now);
  void succeeded(std::size_t index);
  void failed(std::size_t index, TimePoint now);
  void asked_to_wait(std::size_t index, TimePoint until);  // 429, 503 with Retry-After
  void abandoned(std::size_t index);                       // its client left: no verdict

  void connected(std::size_t index, bool is);
  // One that is not connected and may be tried.
  std::optional<std::size_t> to_connect(TimePoint now) const;

  std::size_t size() const { return replicas_.size(); }
  const std::string& name(std::size_t index) const { return replicas_[index].name; }
  std::size_t running(std::size_t index) const { return replicas_[index].running; }
  bool any_allowed(TimePoint now) const;
  // How long until one may be asked again.
  Duration wait(TimePoint now) const;

  // More requests than the least busy one by so many, and the prompt's own replica is passed over.
  static constexpr std::size_t kBusierMax = 4;

 private:
  struct Replica {
    std::string name;
    Breaker breaker;
    TimePoint not_before{};
    std::size_t running = 0;
    bool connected = false;
  };
  bool allowed(const Replica& replica, TimePoint now) const;

  std::vector<Replica> replicas_;
};

// Of the prompt's first kilobyte: requests that share it share a prefix cache.
std::uint64_t prompt_hash(const GenerateRequest& request);

}  // namespace minerva::backend
