#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

wire::Json json_value(const Settings& settings, const Setting& setting) {
  return std::visit([&](auto field) { return wire::Json(settings.*field); }, setting.field);
}

}  // namespace

Result<void> show_configuration(const Context& context, const ConfigOptions& options) {
  if (options.markdown) return write_out(settings_markdown());
  const Configuration& configuration = context.configuration;
  if (options.json) {
    wire::Json out;
    out["home"] = configuration.home.folder;
    wire::Json& settings = out["settings"];
    for (std::size_t i = 0; i < setting_table().size(); ++i) {
      const Setting& setting = setting_table()[i];
      settings[std::string(setting.name)] = {{"value", json_value(context.settings(), setting)},
                                             {"source", configuration.sources[i]}};
    }
    return write_out(wire::dump_json(out) + "\n");
  }
  std::string out = fmt::format("{:20} {:40} {}\n", "SETTING", "VALUE", "FROM");
  for (std::size_t i = 0; i < setting_table().size(); ++i) {
    const Setting& setting = setting_table()[i];
    std::string value = escape_controls(value_text(context.settings(), setting));
    const bool worked_out = configuration.sources[i] == "default" && value != "" &&
                            !setting.default_words.empty() && setting.name != "models_dir";
    if (value.empty() || worked_out) value = fmt::format("({})", setting.default_words);
    out += fmt::format("{:20} {:40} {}\n", setting.name, value,
                       escape_controls(configuration.sources[i]));
  }
  return write_out(out);
}

}  // namespace minerva::cli
