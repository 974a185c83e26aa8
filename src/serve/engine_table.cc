#include "serve/engine_table.h"

#include <algorithm>
#include <utility>

namespace minerva::serve {
namespace {

constexpr Duration kProbeMax = std::chrono::seconds(10);
constexpr Duration kOwnModelsMax = std::chrono::seconds(5);
constexpr Duration kWaitMax = std::chrono::seconds(20);

}  // namespace

EngineTable::EngineTable(std::vector<std::shared_ptr<backend::EngineKind>> kinds,
                         std::shared_ptr<backend::EngineKind> isolated, Workers& workers)
    : kinds_(std::move(kinds)),
      isolated_(std::move(isolated)),
      workers_(workers),
      shared_(std::make_shared<Shared>()) {
  shared_->found.resize(kinds_.size());
  for (std::size_t i = 0; i < kinds_.size(); ++i) look(i);
}

std::shared_ptr<backend::EngineKind> EngineTable::kind_for(std::size_t index, bool isolated) const {
  const bool own = isolated && isolated_ && kinds_[index]->name() == isolated_->name();
  return own ? isolated_ : kinds_[index];
}

void EngineTable::look(std::size_t index) {
  {
    const std::lock_guard lock(shared_->mutex);
    // However many ask, one look at a time: it may start a program.
    if (std::exchange(shared_->found[index].looking, true)) return;
  }
  workers_.run([kind = kinds_[index], shared = shared_, index] {
    Found found;
    found.looked = true;
    found.availability = kind->probe(kProbeMax);
    if (found.availability.available) found.own_models = kind->own_models(kOwnModelsMax);
    {
      const std::lock_guard lock(shared->mutex);
      // A server that does not answer at this moment still has the models it had.
      if (!found.availability.available) {
        found.own_models = std::move(shared->found[index].own_models);
      }
      shared->found[index] = std::move(found);  // and looking is false again
    }
    shared->changed.notify_all();
  });
}

backend::Availability EngineTable::availability(std::size_t index) const {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_for(lock, kWaitMax, [&] { return shared_->found[index].looked; });
  if (shared_->found[index].looked) return shared_->found[index].availability;
  backend::Availability unknown;
  unknown.why_not = "it is still being looked for";
  return unknown;
}

void EngineTable::refresh() {
  for (std::size_t i = 0; i < kinds_.size(); ++i) look(i);
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_for(lock, kWaitMax,
                            [&] { return std::ranges::none_of(shared_->found, &Found::looking); });
}

std::vector<backend::ModelSpec> EngineTable::own_models(std::size_t index) const {
  static_cast<void>(availability(index));
  const std::lock_guard lock(shared_->mutex);
  return shared_->found[index].own_models;
}

std::optional<backend::ModelSpec> EngineTable::own_model(std::size_t index,
                                                         std::string_view name) const {
  const std::vector<backend::ModelSpec> models = own_models(index);
  const auto at = std::ranges::find(models, name, &backend::ModelSpec::name);
  return at == models.end() ? std::nullopt : std::optional(*at);
}

}  // namespace minerva::serve
