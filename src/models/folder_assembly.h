// Puts the tensors of a folder together as its family's table says: each source tensor is given a
// place, or refused by name. Internal to models. Used once, by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "models/family.h"
#include "models/folder_tensors.h"

namespace minerva::models {

class FolderAssembly {
 public:
  // What is passed in must outlive run(). `whole`: all of config.json.
  FolderAssembly(const Family& family, const FamilyWriter& written, const FolderTensors& tensors,
                 ConfigReader whole)
      : family_(family), written_(written), tensors_(tensors), whole_(std::move(whole)) {}

  // Tensors, rows and memory; the rest is the caller's.
  Result<formats::GgufParts> run();
  // After run(): the folder says that its output is not its embedding, and has no other. Such are
  // models for embeddings, which were saved without it.
  bool lacks_output() const { return lacks_output_; }

 private:
  struct Target {
    std::map<std::uint32_t, WeightSource> pieces;
    bool stacked = false;  // the pieces are a dimension of their own
    Change change = Change::Same;
    std::string first_name;  // of the folder, for messages
  };
  Result<void> place(const std::string& name);
  bool is_left_out(std::string_view name) const;
  Result<bool> place_by(std::span<const TensorRule> rules, const std::string& name);
  Result<void> add(const TensorRule& rule, const std::string& to, const std::string& name,
                   std::span<const std::uint32_t> numbers);
  Result<void> make(const std::string& name, Target target);
  Result<void> make_transposed(formats::GgufTensor tensor, Target target);
  Result<void> make_floats(formats::GgufTensor tensor, const Target& target);
  // Of gated delta rules.
  Result<RowOrder> delta_order(const Target& target, std::uint64_t rows) const;
  Result<std::vector<std::uint32_t>> columns_of(const Target& target,
                                                const WeightSource& source) const;
  Result<RowOrder> order_of(const Target& target, std::uint64_t rows) const;
  void add_floats(formats::GgufTensor tensor, const std::vector<float>& values);

  const Family& family_;
  const FamilyWriter& written_;
  const FolderTensors& tensors_;
  ConfigReader whole_;
  bool tied_ = false;
  bool lacks_output_ = false;
  bool norms_from_one_ = false;  // the folder's norms count from 1 where its family's do from 0
  std::map<std::string, Target> targets_;
  formats::GgufParts parts_;
};

}  // namespace minerva::models
