// Numbers of a config.json, each checked before it is believed. A key that is there with null
// counts as missing, as transformers has it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace minerva::models {

// A view: the JSON must outlive it. Errors are InvalidModel and name the key. Any thread.
class ConfigReader {
 public:
  // `where`: the file, for messages.
  ConfigReader(const nlohmann::json& object, std::string where)
      : object_(&object), where_(std::move(where)) {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // 1 to 2^31 - 1, which is what GGUF's keys hold.
  Result<std::uint32_t> count(std::string_view key) const;
  Result<std::uint32_t> count_or(std::string_view key, std::uint32_t otherwise) const;
  // 0, too, and where it is missing.
  Result<std::uint32_t> count_or_none(std::string_view key) const;
  // The first of the keys that is there.
  Result<std::uint32_t> count_of(std::initializer_list<std::string_view> keys) const;
  // Finite.
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double otherwise) const;
  Result<bool> flag_or(std::string_view key, bool otherwise) const;
  Result<std::string> text_or(std::string_view key, std::string_view otherwise) const;
  // The members of an array of strings; empty when it is missing.
  Result<std::vector<std::string>> texts(std::string_view key) const;
  // Finite numbers; empty when it is missing.
  Result<std::vector<float>> numbers(std::string_view key) const;
  // nullptr when it is missing or no object.
  const nlohmann::json* object(std::string_view key) const;

  const std::string& where() const { return where_; }
  const nlohmann::json& json() const { return *object_; }
  std::unexpected<Error> refuse(std::string_view key, std::string_view what) const;

 private:
  const nlohmann::json* find(std::string_view key) const;

  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace minerva::models
