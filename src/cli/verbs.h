// The commands. Each reads what its options say, writes its result to standard output, and gives an
// error that run_command() prints. With `json`, standard output holds JSON and nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/context.h"

namespace minerva::cli {

struct ListOptions {
  bool json = false;
};
Result<void> list_models(const Context& context, const ListOptions& options);

struct ShowOptions {
  std::string model;
  bool json = false;
};
Result<void> show_model(const Context& context, const ShowOptions& options);

struct TokenizeVerbOptions {
  std::string model;
  bool add_special = false;
  bool parse_special = false;
};
Result<void> tokenize_stdin(const Context& context, const TokenizeVerbOptions& options);

struct DetokenizeVerbOptions {
  std::string model;
  bool special = false;
};
Result<void> detokenize_stdin(const Context& context, const DetokenizeVerbOptions& options);

struct TemplateOptions {
  std::string model_or_file;
};
Result<void> render_template(const Context& context, const TemplateOptions& options);

struct EvalVerbOptions {
  std::string model;
  std::string text_file;
  std::uint64_t window = 0;
  bool windows = false;
  std::string kl_to;
  std::uint64_t tokens = 0;
  std::string dump_logits;  // "-": standard output
  bool json = false;
};
Result<void> evaluate_model(const Context& context, const EvalVerbOptions& options);

struct ConvertVerbOptions {
  std::string model;  // a folder's path or name
  std::string to;
  std::string type;  // empty: as the weights are
  bool force = false;
  bool json = false;
};
Result<void> convert_folder(const Context& context, const ConvertVerbOptions& options);

struct BenchVerbOptions {
  std::string model;
  std::string engines;  // "all", or names parted by commas; empty: our own alone, and closer
  std::uint64_t sequences = 1;
  bool json = false;
};
Result<void> bench_model(const Context& context, const BenchVerbOptions& options);

// A configuration that cannot be read does not stop it: that is one of the things it reports.
struct DoctorOptions {
  bool json = false;
  std::optional<Error> configuration_error;
};
Result<void> diagnose(const Context& context, const DoctorOptions& options);

struct ConfigOptions {
  bool json = false;
  bool markdown = false;  // the table of docs/configuration.md
};
Result<void> show_configuration(const Context& context, const ConfigOptions& options);

// --- what asks the running server ---

struct PsOptions {
  bool json = false;
};
Result<void> list_instances(const Context& context, const PsOptions& options);

struct LoadOptions {
  std::string model;
  std::string engine;
  bool json = false;
};
Result<void> load_on_server(const Context& context, const LoadOptions& options);

struct UnloadOptions {
  std::string model;
  bool now = false;
};
Result<void> unload_on_server(const Context& context, const UnloadOptions& options);

struct RouteOptions {
  std::string model;
  std::string prompt;
  std::string engine;
  bool json = false;
};
Result<void> explain_route(const Context& context, const RouteOptions& options);

// One JSON array a text and line; standard input has one text a line where there are no arguments.
struct EmbedVerbOptions {
  std::string model;
  std::vector<std::string> texts;
  std::uint64_t dimensions = 0;  // 0: all of them
  bool truncate = false;         // what is too long is cut off
};
Result<void> embed_texts(const Context& context, const EmbedVerbOptions& options);

Result<void> serve_models(const Context& context);

struct RunOptions {
  std::string model;   // empty: the server's, or the only one there is
  std::string prompt;  // empty and standard input is a terminal: the chat
  std::string system;
  std::optional<double> temperature;
  std::optional<std::uint64_t> max_tokens;
  std::optional<std::uint64_t> seed;
  bool raw = false;
};
Result<void> run_chat(const Context& context, const RunOptions& options);

}  // namespace minerva::cli
