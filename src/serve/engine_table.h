// The engines of this machine: found side by side when the server starts, looked at again when
// somebody asks for them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "backend/engine_kind.h"
#include "serve/workers.h"

namespace minerva::serve {

// Any thread.
class EngineTable {
 public:
  // `kinds` in the machine's order of preference. `isolated`: our own engine in a process of its
  // own, which takes the place of "native" where that is asked for; may be none. Begins to look at
  // all of them at once.
  EngineTable(std::vector<std::shared_ptr<backend::EngineKind>> kinds,
              std::shared_ptr<backend::EngineKind> isolated, Workers& workers);

  std::size_t size() const { return kinds_.size(); }
  backend::EngineKind& kind(std::size_t index) const { return *kinds_[index]; }
  std::shared_ptr<backend::EngineKind> kind_for(std::size_t index, bool isolated) const;

  // As it was found; waits for the first look, which is bounded.
  backend::Availability availability(std::size_t index) const;
  // Looks again at all of them, side by side, and waits for that.
  void refresh();

  // The engine's own model of this name, if it has one.
  std::optional<backend::ModelSpec> own_model(std::size_t index, std::string_view name) const;
  std::vector<backend::ModelSpec> own_models(std::size_t index) const;

 private:
  struct Found {
    bool looked = false;
    bool looking = false;
    backend::Availability availability;
    std::vector<backend::ModelSpec> own_models;
  };
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Found> found;
  };
  void look(std::size_t index);

  const std::vector<std::shared_ptr<backend::EngineKind>> kinds_;
  const std::shared_ptr<backend::EngineKind> isolated_;
  Workers& workers_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace minerva::serve
