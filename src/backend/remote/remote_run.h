// One request on its way to a client: events of the replica that has it go through, and as long as
// no token has, a failure sends it to the next replica. Kept alive by the client's stream and by
// the replica's. Any thread; events are passed on by one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backend/remote/remote_backend.h"

namespace minerva::backend {

class RemoteRun : public std::enable_shared_from_this<RemoteRun> {
 public:
  using Request = std::variant<GenerateRequest, EmbedRequest>;
  RemoteRun(std::shared_ptr<RemotePool> pool, std::string name, Request request,
            std::shared_ptr<GenerationStream> client, const Clock& clock);

  // Refuses what no replica would do, and when none may be asked.
  Result<void> begin();

 private:
  Result<void> begin_on_next();
  void pump();
  void pump_until_quiet();
  Result<void> hand_to(InferenceBackend& replica);
  std::optional<TimePoint> deadline() const;
  bool worth_another(const Error& error) const;
  bool step();  // false: nothing to do now
  bool take(GenerationEvent event);
  bool take_end(EndEvent end);
  void settle(const EndEvent& end);

  const std::shared_ptr<RemotePool> pool_;
  const std::string name_;
  const Request request_;
  const std::shared_ptr<GenerationStream> client_;
  const Clock& clock_;
  const std::uint64_t hash_;
  std::vector<bool> tried_;
  std::size_t replica_ = 0;
  std::shared_ptr<GenerationStream> stream_;  // of the replica that has it
  bool given_ = false;                        // the client has got something of the answer
  bool ended_ = false;

  std::mutex mutex_;
  bool pumping_ = true;  // guarded by mutex_; begin() is the first to pump
  bool again_ = false;   // guarded by mutex_: something came meanwhile
};

}  // namespace minerva::backend
