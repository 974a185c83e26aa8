// What a remote engine is configured with. Plain values; filled in by the app.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"

namespace minerva::backend {

// Which of OpenAI's routes are used. Auto: conversations as chat, raw prompts as completions.
enum class RemoteMode : std::uint8_t { Auto, Chat, Completions };

struct RemoteOptions {
  std::string name;                              // "office": the engine is "remote:office"
  std::vector<std::string> urls;                 // of the replicas: "https://host/v1"
  Secret key;                                    // sent to these addresses and to no other
  std::vector<std::string> models;               // as the server calls them; empty: it is asked
  std::map<std::string, std::string> model_map;  // our name -> the server's
  RemoteMode mode = RemoteMode::Auto;
  bool insecure = false;  // plain http to a machine that is neither this one nor near
  std::string ca_file;    // whom to trust; empty: the system's authorities

  std::size_t connections_max = 64;  // to each replica
  Duration connect_max = std::chrono::seconds(5);
  Duration silence_max = std::chrono::minutes(5);
  Duration models_fresh = std::chrono::seconds(60);  // how long a list of models is believed
};

}  // namespace minerva::backend
