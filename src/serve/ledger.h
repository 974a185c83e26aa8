// Counts the requests inside, refuses those over the limit, and keeps the two gauges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/metrics.h"
#include "base/result.h"

namespace minerva::serve {

class Ledger;

// One request's place, given back when it is destroyed. It moves from waiting to running, and
// back where its engine failed. Any thread.
class Place {
 public:
  explicit Place(std::shared_ptr<Ledger> ledger) : ledger_(std::move(ledger)) {}
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  void now_runs();  // at its first token
  void waits_again();

 private:
  const std::shared_ptr<Ledger> ledger_;
  std::mutex mutex_;
  bool runs_ = false;
};

// Any thread; shared by the service and every place.
class Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  // `metrics` outlives every place.
  Ledger(std::size_t requests_max, Metrics& metrics)
      : requests_max_(requests_max), metrics_(metrics) {}

  // QueueFull over the limit, Unavailable once closed.
  Result<std::unique_ptr<Place>> enter();
  void close();
  std::size_t active() const;

 private:
  friend class Place;
  void leave(bool ran);
  void waiting_to_running();
  void running_to_waiting();
  void report() const;  // needs the lock

  const std::size_t requests_max_;
  Metrics& metrics_;
  mutable std::mutex mutex_;
  std::size_t waiting_ = 0;
  std::size_t running_ = 0;
  bool closed_ = false;
};

}  // namespace minerva::serve
