// One side of a conversation with a Minerva server, in this process or another: the one way in is
// HTTP. Used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "wire/json_guard.h"

namespace minerva::cli {

struct ChatAnswer {
  std::string text;           // whatever came, also when the answer failed or was cancelled
  std::string finish_reason;  // empty: it did not come to its end
};

class ChatClient {
 public:
  ChatClient(http::ClientOptions options, std::string model)
      : client_(std::move(options)), model_(std::move(model)) {}

  // What is told each piece of the answer; its failure ends the answer.
  using OnText = std::function<Result<void>(std::string_view)>;

  // `fields` are further members of the request. Cancelled once the options' flag is set.
  Result<void> ask(const wire::Json& messages, const wire::Json& fields, ChatAnswer& answer,
                   const OnText& on_text) const;

  const std::string& model() const { return model_; }

 private:
  http::Client client_;
  std::string model_;
};

// The models of the Minerva that listens there, or nothing when none does.
std::optional<std::vector<std::string>> models_of_server(const std::string& host, unsigned port);

}  // namespace minerva::cli
