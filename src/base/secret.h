// A key or password. Nothing prints it: neither fmt nor a stream takes it, and whoever needs its
// text says so. A plain value.
#pragma once

#include <string>
#include <utility>

namespace minerva {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  bool empty() const { return value_.empty(); }
  // Where it is sent or written into a file of ours; never for a log or a message.
  const std::string& reveal() const { return value_; }

 private:
  std::string value_;
};

}  // namespace minerva
