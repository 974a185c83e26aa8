#include "formats/json_text.h"

#include <fmt/format.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "base/log.h"

namespace minerva::formats {
namespace {

constexpr std::size_t kShownBytesMax = 80;

// The parser's events, watched and not kept. Each returns whether to go on.
class Watcher : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Watcher(const JsonTextLimits& limits) : limits_(limits) {}
  const std::string& problem() const { return problem_; }

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      return refuse(fmt::format("the key \"{}\" stands twice in one object",
                                escape_controls(name.substr(0, kShownBytesMax))));
    }
    return count();
  }
  bool parse_error(std::size_t at, const std::string&,
                   const nlohmann::detail::exception&) override {
    return refuse(fmt::format("not valid JSON at byte {}", at));
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool count() {
    if (++values_ <= limits_.values_max) return true;
    return refuse(fmt::format("more than {} JSON values", limits_.values_max));
  }
  bool open() {
    if (keys_.size() >= limits_.depth_max) {
      return refuse(
          fmt::format("more than {} arrays and objects inside each other", limits_.depth_max));
    }
    keys_.emplace_back();
    return count();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const JsonTextLimits& limits_;
  std::size_t values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;  // of each open object, none of arrays
  std::string problem_;
};

}  // namespace

Result<nlohmann::json> parse_json_text(std::string_view text, const JsonTextLimits& limits) {
  Watcher watcher(limits);
  if (!nlohmann::json::sax_parse(text, &watcher))
    return fail(ErrorCode::InvalidModel, watcher.problem());
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return fail(ErrorCode::InvalidModel, "not valid JSON");
  return value;
}

}  // namespace minerva::formats
