// A JSON value from the events of a parser, strictly: no recursion however it is nested, no key
// twice, bounds on depth and size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace minerva::text {

// Real files stay under ten.
inline constexpr std::size_t kJsonDepthMax = 32;
// A value takes some 100 bytes; a tokenizer with 10,000 added tokens has 80,000 values.
inline constexpr std::size_t kJsonValuesMax = std::size_t{1} << 20;

// Handed to nlohmann's parser, or the base of what is. One parse, one thread.
class JsonBuilder {
 public:
  using json = nlohmann::json;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t&) { return refuse("binary data"); }
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name);
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&);

  std::size_t depth() const { return open_.size(); }
  json take() { return std::move(root_); }
  // Why the parse ended early.
  const std::string& problem() const { return problem_; }

 protected:
  // Always false, which ends the parse.
  bool refuse(std::string why);

 private:
  bool add(json value) { return place(std::move(value)) != nullptr; }
  bool open(json value);
  bool close();
  json* place(json value);

  json root_;
  std::vector<json*> open_;  // the containers around what comes next
  std::string key_;
  std::size_t values_ = 0;
  std::string problem_;
};

}  // namespace minerva::text
