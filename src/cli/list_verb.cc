#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "cli/model_summary.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

wire::Json to_json(const models::ModelEntry& entry) {
  wire::Json out;
  out["name"] = entry.name;
  out["full_name"] = entry.full_name;
  out["kind"] = models::to_string(entry.kind);
  out["format"] = backend::to_string(entry.format);
  out["source"] = entry.source;
  out["path"] = entry.path;
  out["size_bytes"] = entry.size_bytes;
  out["architecture"] = entry.architecture;
  out["weight_type"] = entry.weight_type;
  out["context_length"] = entry.context_length;
  out["kv_bytes_per_token"] = entry.kv_bytes_per_token;
  out["sees"] = entry.sees;
  out["modified_unix"] = entry.modified_unix;
  out["problem"] = entry.problem.empty() ? wire::Json() : wire::Json(entry.problem);
  return out;
}

std::string table_row(const models::ModelEntry& entry, std::size_t name_width) {
  if (!entry.problem.empty()) {
    return fmt::format("{:{}}  {:>9}  {:13}  cannot be used: {}\n", entry.name, name_width,
                       size_text(entry.size_bytes), entry.source, escape_controls(entry.problem));
  }
  return fmt::format("{:{}}  {:>9}  {:13}  {:11}  {:12}  {:7}  {:>7}{}\n", entry.name, name_width,
                     size_text(entry.size_bytes), entry.source, backend::to_string(entry.format),
                     entry.architecture, entry.weight_type,
                     entry.context_length == 0 ? "?" : std::to_string(entry.context_length),
                     entry.sees ? "  images" : "");
}

}  // namespace

Result<void> list_models(const Context& context, const ListOptions& options) {
  const std::vector<models::ModelEntry> entries = open_store(context.settings())->list();
  if (options.json) {
    wire::Json array = wire::Json::array();
    for (const models::ModelEntry& entry : entries) array.push_back(to_json(entry));
    return write_out(wire::dump_json(array) + "\n");
  }
  if (entries.empty()) {
    return write_out(
        fmt::format("no models in {}, nor of other programs: put a .gguf file there, or name one "
                    "by its path\n",
                    escape_controls(context.settings().models_dir)));
  }
  std::size_t width = 4;
  for (const models::ModelEntry& entry : entries) width = std::max(width, entry.name.size());
  std::string out = fmt::format("{:{}}  {:>9}  {:13}  {:11}  {:12}  {:7}  {:>7}\n", "NAME", width,
                                "SIZE", "SOURCE", "FORMAT", "ARCHITECTURE", "WEIGHTS", "CONTEXT");
  for (const models::ModelEntry& entry : entries) out += table_row(entry, width);
  return write_out(out);
}

}  // namespace minerva::cli
