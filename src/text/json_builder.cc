#include "text/json_builder.h"

#include <fmt/format.h>

#include <utility>

#include "text/vocabulary.h"

namespace minerva::text {

bool JsonBuilder::refuse(std::string why) {
  if (problem_.empty()) problem_ = std::move(why);
  return false;
}

bool JsonBuilder::parse_error(std::size_t position, const std::string&,
                              const nlohmann::detail::exception&) {
  return refuse(fmt::format("it is no JSON from byte {} on", position));
}

bool JsonBuilder::key(std::string& name) {
  if (open_.back()->contains(name)) {
    return refuse(fmt::format("the key {} is there twice", quoted_piece(name)));
  }
  key_ = std::move(name);
  return true;
}

JsonBuilder::json* JsonBuilder::place(json value) {
  if (++values_ > kJsonValuesMax) {
    refuse(fmt::format("it has more than {} values", kJsonValuesMax));
    return nullptr;
  }
  if (open_.empty()) {
    root_ = std::move(value);
    return &root_;
  }
  json& parent = *open_.back();
  if (parent.is_array()) {
    parent.push_back(std::move(value));
    return &parent.back();
  }
  json& slot = parent[key_];
  slot = std::move(value);
  return &slot;
}

bool JsonBuilder::open(json value) {
  if (open_.size() == kJsonDepthMax) {
    return refuse(fmt::format("its values lie more than {} deep", kJsonDepthMax));
  }
  json* const placed = place(std::move(value));
  if (placed == nullptr) return false;
  open_.push_back(placed);
  return true;
}

bool JsonBuilder::close() {
  open_.pop_back();
  return true;
}

}  // namespace minerva::text
