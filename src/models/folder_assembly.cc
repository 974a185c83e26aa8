#include "models/folder_assembly.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "base/log.h"
#include "formats/dequantize.h"
#include "models/name_pattern.h"
#include "models/transposed_rows.h"

namespace minerva::models {
namespace {

using formats::DType;
using formats::GgufTensor;

// Values that are held in memory although they could be made: norms, biases, routers.
constexpr std::uint64_t kFloatsMax = std::uint64_t{1} << 28;

std::string shown(std::string_view name) { return escape_controls(name.substr(0, 80)); }

std::unexpected<Error> refuse(ErrorCode code, std::string_view name, std::string_view what) {
  return fail(code, fmt::format("tensor {} {}", shown(name), what), shown(name));
}

// Models that see name the language model's tensors with one more level, models without an output
// matrix with one less.
std::string plain_name(std::string_view name) {
  constexpr std::string_view kOld = "language_model.";
  constexpr std::string_view kNew = "model.language_model.";
  if (name.starts_with(kNew)) return "model." + std::string(name.substr(kNew.size()));
  if (name.starts_with(kOld)) return std::string(name.substr(kOld.size()));
  if (name.starts_with("layers.") || name.starts_with("embed_tokens.") ||
      name.starts_with("norm.")) {
    return "model." + std::string(name);
  }
  return std::string(name);
}

constexpr std::string_view kTied = "tie_word_embeddings";

// The eyes and ears of a model whose text part is run: requests with images go to other engines.
bool is_of_other_senses(const ConfigReader& config, std::string_view name) {
  constexpr std::string_view kModel = "model.";
  if (name.starts_with(kModel)) name.remove_prefix(kModel.size());
  const auto begins = [name](std::initializer_list<std::string_view> beginnings) {
    return std::ranges::any_of(beginnings, [name](auto one) { return name.starts_with(one); });
  };
  if (config.object("vision_config") != nullptr &&
      begins({"vision_tower.", "vision_model.", "visual.", "multi_modal_projector."}))
    return true;
  return config.object("audio_config") != nullptr && begins({"audio_tower."});
}

bool is_transposed(Change change) {
  switch (change) {
    case Change::Columns:
    case Change::EvenColumns:
    case Change::OddColumns:
    case Change::FirstColumns:
    case Change::LastColumns:
      return true;
    default:
      return false;
  }
}

bool is_of_delta(Change change) {
  return change == Change::MixedOfAll || change == Change::GatesOfAll ||
         change == Change::MixedHeads || change == Change::ValueHeads || change == Change::Taps ||
         change == Change::Decay;
}

// mlx-lm counts the norms of models with delta rules from 1 when it turns their convolutions, which
// it does to [values][taps][1].
bool is_turned_by_mlx(std::string_view name, const FolderTensor& tensor) {
  return name.ends_with(".linear_attn.conv1d.weight") && tensor.shape.size() == 3 &&
         tensor.shape[2] == 1 && tensor.shape[1] != 1;
}

bool is_vector(std::string_view name) { return name.ends_with(".bias"); }

}  // namespace

Result<formats::GgufParts> FolderAssembly::run() {
  MINERVA_ASSIGN(const bool whole_tied, whole_.flag_or(kTied, false));
  MINERVA_ASSIGN(tied_, written_.config.flag_or(kTied, whole_tied));
  for (const auto& [name, tensor] : tensors_.all()) {
    norms_from_one_ = norms_from_one_ || is_turned_by_mlx(name, tensor);
  }
  for (const auto& [name, tensor] : tensors_.all()) MINERVA_TRY(place(name));
  const bool said = written_.config.has(kTied) || whole_.has(kTied);
  const bool always_tied = std::ranges::any_of(family_.rules, [](const TensorRule& rule) {
    return rule.from == "lm_head" && rule.change == Change::Skip;
  });
  lacks_output_ = said && !tied_ && !always_tied && !targets_.contains("output.weight");
  for (auto& [name, target] : targets_) MINERVA_TRY(make(name, std::move(target)));
  for (const auto& [name, values] : written_.tensors) {
    add_floats({name, DType::F32, 1, {values.size(), 1, 1, 1}, {}, nullptr}, values);
  }
  return std::move(parts_);
}

Result<void> FolderAssembly::place(const std::string& name) {
  if (tensors_.is_part_of_quantized(name) || is_of_other_senses(whole_, name)) return {};
  // The embedding stands in for it, whatever was stored.
  if (tied_ && plain_name(name).starts_with("lm_head.")) return {};
  if (is_left_out(name)) return {};
  MINERVA_ASSIGN(const bool own, place_by(family_.rules, name));
  if (own) return {};
  MINERVA_ASSIGN(const bool usual, place_by(decoder_rules(), name));
  if (usual) return {};
  return refuse(ErrorCode::Unsupported, name,
                fmt::format("has no place in a model of the family {}", family_.architecture));
}

bool FolderAssembly::is_left_out(std::string_view name) const {
  const std::string plain = plain_name(name);
  std::string_view rest = plain;
  constexpr std::string_view kModel = "model.";
  if (rest.starts_with(kModel)) rest.remove_prefix(kModel.size());
  return !written_.left_out.empty() && rest.starts_with(written_.left_out);
}

Result<bool> FolderAssembly::place_by(std::span<const TensorRule> rules, const std::string& name) {
  const std::string_view coded = module_of_codes(name);
  const std::string plain =
      coded.empty() ? plain_name(name) : plain_name(std::string(coded) + ".weight");
  std::string_view module = plain;
  std::string_view ending;
  for (const std::string_view known : {".weight", ".bias"}) {
    if (!plain.ends_with(known)) continue;
    ending = known;
    module.remove_suffix(known.size());
  }
  bool placed = false;
  for (const TensorRule& rule : rules) {
    if (!rule.whole && ending.empty()) continue;
    const auto numbers = match_name(rule.from, rule.whole ? std::string_view(plain) : module);
    if (!numbers) continue;
    placed = true;
    if (rule.change == Change::Skip) continue;
    std::string to = fill_name(rule.to, *numbers);
    if (!rule.whole) to += ending;
    MINERVA_TRY(add(rule, to, name, *numbers));
  }
  return placed;
}

Result<void> FolderAssembly::add(const TensorRule& rule, const std::string& to,
                                 const std::string& name, std::span<const std::uint32_t> numbers) {
  constexpr std::string_view kBlocks = "_blocks";
  WeightSource source;
  if (name.ends_with(kBlocks)) {
    const std::string base = name.substr(0, name.size() - kBlocks.size());
    MINERVA_ASSIGN(source, tensors_.mx_source(name, base + "_scales"));
  } else {
    MINERVA_ASSIGN(source, tensors_.source(name, whole_));
  }
  Target& target = targets_[to];
  if (target.pieces.empty()) target.first_name = name;
  target.change = rule.change;
  if (norms_from_one_ && rule.change == Change::PlusOne) target.change = Change::Float;
  const std::size_t places = places_of(rule.to);
  target.stacked = numbers.size() > places;
  const std::uint32_t piece = target.stacked ? numbers[places] : 0;
  if (target.pieces.emplace(piece, std::move(source)).second) return {};
  return refuse(ErrorCode::InvalidModel, name,
                fmt::format("and {} would both be {}", shown(target.first_name), to));
}

Result<RowOrder> FolderAssembly::delta_order(const Target& target, std::uint64_t rows) const {
  const DeltaHeads& heads = written_.delta;
  RowOrder order;
  order.kind = RowOrder::Kind::Listed;
  std::uint64_t expected = 2 * heads.keys() + heads.values();
  if (target.change == Change::MixedOfAll || target.change == Change::GatesOfAll) {
    expected += heads.values();
    if (rows == expected) {
      order.rows =
          target.change == Change::MixedOfAll ? mixed_of_all_rows(heads) : gates_of_all_rows(heads);
    }
  } else if (target.change == Change::MixedHeads || target.change == Change::Taps) {
    if (rows == expected) order.rows = mixed_rows(heads);
  } else {
    // Of a head there is one value, or all of its own.
    expected = rows == heads.value_heads ? rows : heads.values();
    if (rows == expected) order.rows = value_head_rows(heads, rows / heads.value_heads);
  }
  if (rows == expected) return order;
  return refuse(
      ErrorCode::InvalidModel, target.first_name,
      fmt::format("has {} rows, and {} key heads of {} and {} value heads of {} ask for {}", rows,
                  heads.key_heads, heads.key_dim, heads.value_heads, heads.value_dim, expected));
}

Result<std::vector<std::uint32_t>> FolderAssembly::columns_of(const Target& target,
                                                              const WeightSource& source) const {
  const DeltaHeads& heads = written_.delta;
  if (target.change != Change::ValueColumns || !heads.spread) return std::vector<std::uint32_t>{};
  if (source.cols != heads.values() ||
      heads.value_dim % formats::dtype_info(source.type).block != 0) {
    return refuse(ErrorCode::InvalidModel, target.first_name,
                  fmt::format("has {} columns of {}, and {} value heads of {} are {}", source.cols,
                              formats::dtype_info(source.type).name, heads.value_heads,
                              heads.value_dim, heads.values()));
  }
  return value_head_order(heads);
}

Result<RowOrder> FolderAssembly::order_of(const Target& target, std::uint64_t rows) const {
  if (is_of_delta(target.change)) return delta_order(target, rows);
  RowOrder order;
  switch (target.change) {
    case Change::RotaryQ:
    case Change::RotaryK: {
      const std::uint64_t heads =
          target.change == Change::RotaryQ ? written_.heads : written_.kv_heads;
      if (written_.head_dim % 2 != 0 || rows != heads * written_.head_dim) {
        return refuse(ErrorCode::InvalidModel, target.first_name,
                      fmt::format("has {} rows, and {} heads of {} are {}", rows, heads,
                                  written_.head_dim, heads * written_.head_dim));
      }
      order.kind = RowOrder::Kind::Interleave;
      order.head_dim = written_.head_dim;
      return order;
    }
    case Change::FirstRows:
    case Change::LastRows:
    case Change::FirstColumns:
    case Change::LastColumns:
      if (rows % 2 != 0) {
        return refuse(ErrorCode::InvalidModel, target.first_name,
                      fmt::format("has {} rows, and should hold two matrices of as many", rows));
      }
      order.kind = RowOrder::Kind::Half;
      order.first =
          target.change == Change::LastRows || target.change == Change::LastColumns ? rows / 2 : 0;
      order.step = rows;
      return order;
    case Change::EvenRows:
    case Change::OddRows:
    case Change::EvenColumns:
    case Change::OddColumns:
      if (rows % 2 != 0) {
        return refuse(
            ErrorCode::InvalidModel, target.first_name,
            fmt::format("has {} outputs, and should have two for each of an expert", rows));
      }
      order.kind = RowOrder::Kind::Every;
      order.first = target.change == Change::OddRows || target.change == Change::OddColumns ? 1 : 0;
      order.step = 2;
      return order;
    case Change::GroupedQ:
    case Change::GroupedK:
    case Change::GroupedV: {
      const std::uint64_t all =
          std::uint64_t{written_.heads} + 2 * std::uint64_t{written_.kv_heads};
      if (written_.head_dim % 2 != 0 || written_.heads % written_.kv_heads != 0 ||
          rows != all * written_.head_dim) {
        return refuse(
            ErrorCode::InvalidModel, target.first_name,
            fmt::format("has {} rows; {} heads and 2 x {} of {} are {}", rows, written_.heads,
                        written_.kv_heads, written_.head_dim, all * written_.head_dim));
      }
      const std::uint64_t group = written_.heads / written_.kv_heads;
      order.kind = RowOrder::Kind::Heads;
      order.head_dim = written_.head_dim;
      order.step = group + 2;
      order.taken = target.change == Change::GroupedQ ? group : 1;
      order.interleaved = target.change != Change::GroupedV;
      if (target.change == Change::GroupedK) order.first = group;
      if (target.change == Change::GroupedV) order.first = group + 1;
      return order;
    }
    case Change::FromThird:
      order.kind = RowOrder::Kind::Every;
      order.first = 2;
      return order;
    default:
      return order;
  }
}

Result<void> FolderAssembly::make(const std::string& name, Target target) {
  if (target.change == Change::Squeeze || target.change == Change::Taps) {
    for (auto& [piece, source] : target.pieces) {
      std::erase(source.shape, 1U);
      if (source.shape.size() != 2 || source.form != WeightSource::Form::Plain) continue;
      source.rows = source.shape[0];
      source.cols = source.shape[1];
    }
  }
  const WeightSource& first = target.pieces.begin()->second;
  std::uint32_t expected = 0;
  for (const auto& [piece, source] : target.pieces) {
    if (piece != expected++) {
      return refuse(ErrorCode::InvalidModel, target.first_name,
                    fmt::format("is piece 0 of {}, and piece {} is missing", name, expected - 1));
    }
    if (source.shape == first.shape && source.type == first.type && source.form == first.form)
      continue;
    return refuse(
        ErrorCode::InvalidModel, target.first_name,
        fmt::format("is [{}] of {}, and piece {} of {} is [{}] of {}", fmt::join(first.shape, ", "),
                    formats::dtype_info(first.type).name, piece, name,
                    fmt::join(source.shape, ", "), formats::dtype_info(source.type).name));
  }
  const std::size_t dims = first.shape.size() + (target.stacked ? 1 : 0);
  if (dims > formats::kGgufDimsMax)
    return refuse(ErrorCode::InvalidModel, target.first_name, "has too many dimensions");
  GgufTensor tensor{name, first.type, static_cast<std::uint32_t>(dims), {1, 1, 1, 1}, {}, nullptr};
  for (std::size_t d = 0; d < first.shape.size(); ++d)
    tensor.dims[d] = first.shape[first.shape.size() - 1 - d];
  if (target.stacked) tensor.dims[dims - 1] = target.pieces.size();
  if (first.shape.size() == 1 || is_vector(name) || target.change == Change::PlusOne ||
      target.change == Change::Float || target.change == Change::Taps) {
    return make_floats(std::move(tensor), target);
  }
  if (is_transposed(target.change)) return make_transposed(std::move(tensor), std::move(target));
  if (first.shape.empty())
    return refuse(ErrorCode::InvalidModel, target.first_name, "is no matrix");
  if (target.change == Change::FromThird && first.shape.size() != 2)
    return refuse(ErrorCode::InvalidModel, target.first_name, "must have two dimensions");
  // Experts keep their rows apart: an order is one expert's.
  MINERVA_ASSIGN(const RowOrder order, order_of(target, first.shape[first.shape.size() - 2]));
  MINERVA_ASSIGN(std::vector<std::uint32_t> columns, columns_of(target, first));
  if (order.kind == RowOrder::Kind::Same && columns.empty() && target.pieces.size() == 1 &&
      first.form == WeightSource::Form::Plain) {
    tensor.data = first.plain;
    parts_.tensors.push_back(std::move(tensor));
    return {};
  }
  tensor.dims[1] = order.count(tensor.dims[1]);
  std::vector<WeightSource> pieces;
  for (auto& [piece, source] : target.pieces) pieces.push_back(std::move(source));
  parts_.rows.push_back(std::make_unique<SourceRows>(std::move(pieces), order, std::move(columns)));
  tensor.rows = parts_.rows.back().get();
  parts_.tensors.push_back(std::move(tensor));
  return {};
}

Result<void> FolderAssembly::make_transposed(GgufTensor tensor, Target target) {
  WeightSource& source = target.pieces.begin()->second;
  if (target.pieces.size() != 1 || source.shape.size() != 3 ||
      source.form != WeightSource::Form::Plain) {
    return refuse(
        ErrorCode::Unsupported, target.first_name,
        fmt::format("is [{}]; one of floats for each expert, input and output is supported",
                    fmt::join(source.shape, ", ")));
  }
  MINERVA_ASSIGN(const RowOrder order, order_of(target, source.shape[2]));
  tensor.dims = {source.shape[1], order.count(source.shape[2]), source.shape[0], 1};
  parts_.rows.push_back(std::make_unique<TransposedRows>(std::move(source), order));
  tensor.rows = parts_.rows.back().get();
  parts_.tensors.push_back(std::move(tensor));
  return {};
}

// Everything small: in memory as F32, which is what the engine adds and multiplies with.
Result<void> FolderAssembly::make_floats(GgufTensor tensor, const Target& target) {
  const WeightSource& first = target.pieces.begin()->second;
  if (first.rows > kFloatsMax / target.pieces.size() ||
      first.cols > kFloatsMax / target.pieces.size() / first.rows) {
    return refuse(
        ErrorCode::InvalidModel, target.first_name,
        fmt::format("has {} x {} values, too many for what it is", first.rows, first.cols));
  }
  // Of a vector the values are what a matrix's rows are.
  const bool vector = first.shape.size() == 1 || is_vector(tensor.name);
  MINERVA_ASSIGN(const RowOrder order, order_of(target, vector ? first.cols : first.rows));
  const auto changed = [&](float value) {
    if (target.change == Change::PlusOne) return value + 1;
    return target.change == Change::Decay ? -std::exp(value) : value;
  };
  std::vector<float> values;
  std::vector<float> row(first.cols);
  std::vector<std::byte> bytes(first.row_bytes());
  for (const auto& [piece, source] : target.pieces) {
    const std::uint64_t rows = vector ? source.rows : order.count(source.rows);
    for (std::uint64_t r = 0; r < rows; ++r) {
      source.read_row(vector ? r : order.source_row(r), bytes.data());
      formats::dequantize(source.type, bytes.data(), row.data(), row.size());
      const std::uint64_t count = vector ? order.count(row.size()) : row.size();
      for (std::uint64_t i = 0; i < count; ++i) {
        values.push_back(changed(row[vector ? order.source_row(i) : i]));
      }
    }
  }
  tensor.dims[0] = vector ? order.count(first.cols) : first.cols;
  add_floats(std::move(tensor), values);
  return {};
}

void FolderAssembly::add_floats(GgufTensor tensor, const std::vector<float>& values) {
  std::vector<std::byte>& bytes = parts_.memory.emplace_back(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  tensor.type = DType::F32;
  tensor.data = bytes;
  parts_.tensors.push_back(std::move(tensor));
}

}  // namespace minerva::models
