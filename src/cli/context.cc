#include "cli/context.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

namespace minerva::cli {

std::shared_ptr<const models::ModelStore> open_store(const Settings& settings) {
  models::StoreOptions options;
  options.sources = settings.model_places;
  // Settings that came by no configuration have the one folder.
  if (options.sources.empty())
    options.sources = {{models::SourceKind::Folder, settings.models_dir}};
  options.allow_code = settings.allow_code;
  return std::make_shared<const models::ModelStore>(std::move(options));
}

Result<models::ModelEntry> look_up_model(const Settings& settings,
                                         const std::string& name_or_path) {
  const auto store = open_store(settings);
  auto entry = store->look_up(name_or_path, true);
  if (entry || entry.error().code != ErrorCode::NotFound) return entry;
  // What lies beside us and was named without its folder's path is still a path.
  std::error_code ignored;
  if (!name_or_path.contains('/') && std::filesystem::exists(name_or_path, ignored))
    return store->look_up("./" + name_or_path, true);
  return entry;
}

Result<models::ModelEntry> find_model(const Settings& settings, const std::string& name_or_path) {
  MINERVA_ASSIGN(models::ModelEntry entry, look_up_model(settings, name_or_path));
  if (!entry.problem.empty()) return fail(ErrorCode::InvalidModel, entry.problem, "model");
  return entry;
}

std::string reachable_host(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  return host == "::" ? "::1" : host;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace minerva::cli
