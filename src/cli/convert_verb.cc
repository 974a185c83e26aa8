// `convert`: a model folder becomes one GGUF file.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/conversion.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

constexpr std::array<std::pair<std::string_view, formats::DType>, 5> kTypes = {{
    {"q8_0", formats::DType::Q8_0},
    {"q4_0", formats::DType::Q4_0},
    {"f16", formats::DType::F16},
    {"bf16", formats::DType::BF16},
    {"f32", formats::DType::F32},
}};

}  // namespace

Result<void> convert_folder(const Context& context, const ConvertVerbOptions& options) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), options.model));
  models::ConversionOptions conversion;
  for (const auto& [name, type] : kTypes)
    if (name == options.type) conversion.type = type;
  conversion.overwrite = options.force;
  ProgressBar bar("converting", context.clock);
  conversion.progress = bar.callback();
  const auto report = models::convert_model(entry.path, options.to, conversion);
  bar.clear();
  if (!report) return fail(report.error());
  for (const std::string& note : report->notes)
    tell(fmt::format("note: {}\n", escape_controls(note)));
  if (options.json) {
    const wire::Json out = {{"path", options.to},
                            {"architecture", report->architecture},
                            {"tensors", report->tensors},
                            {"bytes", report->file_bytes},
                            {"notes", report->notes}};
    return write_out(wire::dump_json(out) + "\n");
  }
  return write_out(fmt::format("{}: {}, {} tensors, {}\n", escape_controls(options.to),
                               report->architecture, report->tensors,
                               size_text(report->file_bytes)));
}

}  // namespace minerva::cli
