#include "cli/commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/model_store.h"

namespace minerva::cli {
namespace {

using Action = std::function<Result<void>(const Context&)>;

void report(const Error& error) {
  const std::string text = escape_controls(error.message, true);
  tell(fmt::format("minerva: {}\n", text));
}

LogLevel level_of(std::string_view name) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error", "off"};
  return static_cast<LogLevel>(std::ranges::find(kNames, name) - std::begin(kNames));
}

// Everything that the verbs' flags write into, and the verb that was chosen.
class CommandLine {
 public:
  explicit CommandLine(const std::string& version) {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "minerva " + version);
    app_.get_formatter()->column_width(34);
    add_server_verbs();
    add_engine_verbs();
    add_model_verbs();
    add_text_verbs();
    add_machine_verbs();
  }

  // An exit code when the command line is wrong, or asked for help only.
  std::optional<int> parse(std::span<const std::string> arguments) {
    if (!arguments.empty() && unknown_verb(arguments.front())) return kExitUsage;
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    if (!arguments.empty() && arguments.front() == "embed") {
      for (std::string& one : reversed) hide_brackets(one);
    }
    try {  // The library's way to say it; here it ends.
      app_.parse(std::move(reversed));
      show_brackets(embed_.model);
      for (std::string& text : embed_.texts) show_brackets(text);
      return std::nullopt;
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? kExitOk : kExitUsage;
    }
  }

  const FlagValues& flags() const { return flags_; }
  const Action& action() const { return action_; }
  bool diagnoses() const { return diagnoses_; }
  // Verbs whose user waits for the answer alone.
  bool answers() const { return answers_; }
  DoctorOptions& doctor() { return doctor_; }

 private:
  // The library takes a text in brackets for a list of texts, at commas; not one with a zero byte
  // at its end, which no argument of a program has.
  static void hide_brackets(std::string& argument) {
    if (argument.starts_with('[') && argument.ends_with(']')) argument.push_back('\0');
  }
  static void show_brackets(std::string& argument) {
    if (argument.ends_with('\0')) argument.pop_back();
  }

  bool unknown_verb(const std::string& word) {
    if (word.starts_with('-')) return false;
    const auto verbs = app_.get_subcommands([](CLI::App*) { return true; });
    std::vector<std::string> names;
    names.reserve(verbs.size());
    for (const CLI::App* verb : verbs) names.push_back(verb->get_name());
    if (std::ranges::count(names, word)) return false;
    report(
        {ErrorCode::InvalidArgument,
         fmt::format("there is no command \"{}\"; did you mean {}? (`minerva --help` lists them)",
                     word, models::nearest_first(word, std::move(names)).front())});
    return true;
  }

  CLI::App* add_verb(const char* name, const char* what, Action action) {
    CLI::App* verb = app_.add_subcommand(name, what);
    verb->callback([this, action = std::move(action)] { action_ = action; });
    return verb;
  }

  void add_setting(CLI::App* verb, const Setting& setting) {
    const std::string name(setting.name);
    std::string doc(setting.doc);
    if (!setting.choices.empty())
      doc += fmt::format(" One of {}.", fmt::join(setting.choices, ", "));
    if (setting.is_switch()) {
      verb->add_flag_callback(
          std::string(setting.flag), [this, name] { flags_[name] = {"true"}; }, doc);
      return;
    }
    verb->add_option_function<std::vector<std::string>>(
            std::string(setting.flag),
            [this, name](const std::vector<std::string>& values) { flags_[name] = values; }, doc)
        ->type_name(std::string(setting.value))
        ->expected(1)
        ->multi_option_policy(setting.is_list() ? CLI::MultiOptionPolicy::TakeAll
                                                : CLI::MultiOptionPolicy::TakeLast)
        ->allow_extra_args(false);
  }

  void add_settings(CLI::App* verb, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) add_setting(verb, *find_setting(name));
  }

  void add_server_verbs() {
    CLI::App* serve = add_verb("serve", "Serve models over the OpenAI API", serve_models);
    for (const Setting& setting : setting_table()) add_setting(serve, setting);

    CLI::App* run = add_verb("run", "Chat in the terminal, or answer one prompt",
                             [this](const Context& c) { return run_chat(c, run_); });
    run->callback([this] {
      answers_ = true;
      action_ = [this](const Context& c) { return run_chat(c, run_); };
    });
    run->add_option("MODEL", run_.model, "Name or path; without it the server's own model");
    run->add_option("PROMPT", run_.prompt, "Answer this and end; what is piped in comes behind it");
    run->add_option("--system", run_.system, "The system message")->type_name("TEXT");
    run->add_option("--temperature", run_.temperature, "0 is greedy")->type_name("X");
    run->add_flag_callback(
        "--greedy", [this] { run_.temperature = 0; }, "The same as --temperature 0");
    run->add_option("--max-tokens", run_.max_tokens, "Longest answer")->type_name("N");
    run->add_option("--seed", run_.seed, "The same seed gives the same answer")->type_name("N");
    run->add_flag("--raw", run_.raw, "Print control characters as the model writes them");
    add_settings(run,
                 {"host", "port", "models_dir", "model_sources", "allow_code", "threads", "context",
                  "kv_memory", "isa", "numerics", "log_level", "backend", "fallback", "isolation"});
  }

  void add_engine_verbs() {
    CLI::App* ps = add_verb("ps", "List what the running server has loaded",
                            [this](const Context& c) { return list_instances(c, ps_); });
    ps->add_flag("--json", ps_.json, "Print JSON");
    add_settings(ps, {"host", "port"});

    CLI::App* load = add_verb("load", "Have the running server load a model",
                              [this](const Context& c) { return load_on_server(c, load_); });
    load->add_option("MODEL", load_.model, "Its name")->required();
    load->add_option("--engine", load_.engine, "On this engine")->type_name("NAME");
    load->add_flag("--json", load_.json, "Print JSON");
    add_settings(load, {"host", "port", "load_wait_seconds"});

    CLI::App* unload = add_verb("unload", "Have the running server unload a model",
                                [this](const Context& c) { return unload_on_server(c, unload_); });
    unload->add_option("MODEL", unload_.model, "Its name")->required();
    unload->add_flag("--now", unload_.now, "Ends its running answers, too");
    add_settings(unload, {"host", "port", "load_wait_seconds"});

    CLI::App* route = add_verb("route", "Ask the running server which engine would answer",
                               [this](const Context& c) { return explain_route(c, route_); });
    route->add_option("MODEL", route_.model, "Its name")->required();
    route->add_option("PROMPT", route_.prompt, "A message, which is not answered");
    route->add_option("--engine", route_.engine, "As if this engine were asked for")
        ->type_name("NAME");
    route->add_flag("--json", route_.json, "Print JSON");
    add_settings(route, {"host", "port"});
  }

  void add_model_verbs() {
    CLI::App* list = add_verb("list", "List the models that are there",
                              [this](const Context& c) { return list_models(c, list_); });
    list->add_flag("--json", list_.json, "Print JSON");
    add_settings(list, {"models_dir", "model_sources", "allow_code"});

    CLI::App* show = add_verb("show", "Show what a model is and what it needs",
                              [this](const Context& c) { return show_model(c, show_); });
    show->add_option("MODEL", show_.model, "Name or path")->required();
    show->add_flag("--json", show_.json, "Print JSON");
    add_settings(show, {"models_dir", "model_sources", "allow_code", "context", "kv_memory"});

    CLI::App* eval = add_verb("eval", "Measure how well a model predicts a text",
                              [this](const Context& c) { return evaluate_model(c, eval_); });
    eval->add_option("MODEL", eval_.model, "Name or path")->required();
    eval->add_option("--text", eval_.text_file, "The text")->required()->type_name("FILE");
    eval->add_option("--context", eval_.window, "Tokens a window")->type_name("N");
    eval->add_flag("--windows", eval_.windows,
                   "As many windows as the text fills, the second half of each scored");
    eval->add_option("--kl-to", eval_.kl_to, "Also the divergence from this: f32")
        ->check(CLI::IsMember({"f32"}))
        ->type_name("f32");
    eval->add_option("--tokens", eval_.tokens, "Stop after so many tokens")->type_name("N");
    eval->add_option("--dump-logits", eval_.dump_logits,
                     "Write each scored position's logits there: raw little-endian float32 rows; "
                     "- is standard output, and the report then goes to stderr")
        ->type_name("FILE");
    eval->add_flag("--json", eval_.json, "Print JSON");
    add_settings(eval, {"models_dir", "model_sources", "allow_code", "threads", "isa", "numerics"});

    CLI::App* convert = add_verb("convert", "Write a model folder as one GGUF file",
                                 [this](const Context& c) { return convert_folder(c, convert_); });
    convert->add_option("FOLDER", convert_.model, "Name or path of the folder")->required();
    convert->add_option("OUT", convert_.to, "The file to write")->required();
    convert
        ->add_option(
            "--type", convert_.type,
            "Of the matrices: q8_0, q4_0, f16, bf16, f32; without it they stay as they are")
        ->check(CLI::IsMember({"q8_0", "q4_0", "f16", "bf16", "f32"}))
        ->type_name("TYPE");
    convert->add_flag("--force", convert_.force, "Replace a file that is there");
    convert->add_flag("--json", convert_.json, "Print JSON");
    add_settings(convert, {"models_dir", "model_sources", "allow_code"});

    CLI::App* bench = add_verb("bench", "Measure how fast a model runs here",
                               [this](const Context& c) { return bench_model(c, bench_); });
    bench->add_option("MODEL", bench_.model, "Name or path")->required();
    bench->add_option("--sequences", bench_.sequences, "That decode at once")
        ->check(CLI::Range(1, 256))
        ->type_name("N");
    bench
        ->add_option("--backends", bench_.engines,
                     "The same model on these engines, one after the other: all, or names parted "
                     "by commas")
        ->type_name("NAMES");
    bench->add_flag("--json", bench_.json, "Print JSON");
    add_settings(bench, {"models_dir", "model_sources", "allow_code", "threads", "isa"});
  }

  void add_text_verbs() {
    CLI::App* tokenize = add_verb("tokenize", "Standard input to a JSON array of token ids",
                                  [this](const Context& c) { return tokenize_stdin(c, tokens_); });
    tokenize->add_option("MODEL", tokens_.model, "Name or path")->required();
    tokenize->add_flag("--add-special", tokens_.add_special,
                       "Begin and end tokens, where the model asks for them");
    tokenize->add_flag("--parse-special", tokens_.parse_special,
                       "Control tokens written in the text become those tokens");
    add_settings(tokenize, {"models_dir", "model_sources", "allow_code"});

    CLI::App* detokenize = add_verb("detokenize", "A JSON array of token ids to its exact text",
                                    [this](const Context& c) { return detokenize_stdin(c, ids_); });
    detokenize->add_option("MODEL", ids_.model, "Name or path")->required();
    detokenize->add_flag("--special", ids_.special, "Print control tokens, too");
    add_settings(detokenize, {"models_dir", "model_sources", "allow_code"});

    CLI::App* embed = add_verb("embed", "Texts to vectors, a JSON array a line",
                               [this](const Context& c) { return embed_texts(c, embed_); });
    embed->callback([this] {
      answers_ = true;
      action_ = [this](const Context& c) { return embed_texts(c, embed_); };
    });
    embed->add_option("MODEL", embed_.model, "Name or path")->required();
    embed->add_option("TEXT", embed_.texts, "Texts; without any, standard input has one a line");
    embed->add_option("--dimensions", embed_.dimensions, "Only the first so many numbers of each")
        ->type_name("N");
    embed->add_flag("--truncate", embed_.truncate, "Cut off what is longer than the model takes");
    add_settings(embed, {"host", "port", "models_dir", "model_sources", "allow_code", "threads",
                         "context", "isa", "numerics", "log_level", "backend", "isolation"});

    CLI::App* render = add_verb("template", "Render a chat template with JSON from standard input",
                                [this](const Context& c) { return render_template(c, template_); });
    render
        ->add_option("MODEL_OR_FILE", template_.model_or_file,
                     "A model's name or path, or a Jinja file")
        ->required();
    add_settings(render, {"models_dir", "model_sources", "allow_code"});
  }

  void add_machine_verbs() {
    CLI::App* doctor = add_verb("doctor", "Look at this machine, the models and the configuration",
                                [this](const Context& c) { return diagnose(c, doctor_); });
    doctor->callback([this] {
      diagnoses_ = true;
      action_ = [this](const Context& c) { return diagnose(c, doctor_); };
    });
    doctor->add_flag("--json", doctor_.json, "Print JSON");
    add_settings(doctor,
                 {"host", "port", "models_dir", "model_sources", "allow_code", "threads", "isa"});

    CLI::App* config =
        add_verb("config", "Show every setting and where its value came from",
                 [this](const Context& c) { return show_configuration(c, config_); });
    config->add_flag("--json", config_.json, "Print JSON");
    config->add_flag("--markdown", config_.markdown, "Print the settings as a table of a document");
    for (const Setting& setting : setting_table()) add_setting(config, setting);
  }

  CLI::App app_{"Minerva runs language models on this machine.", "minerva"};
  FlagValues flags_;
  Action action_;
  bool diagnoses_ = false;
  bool answers_ = false;
  RunOptions run_;
  EmbedVerbOptions embed_;
  PsOptions ps_;
  LoadOptions load_;
  UnloadOptions unload_;
  RouteOptions route_;
  ListOptions list_;
  ShowOptions show_;
  EvalVerbOptions eval_;
  ConvertVerbOptions convert_;
  BenchVerbOptions bench_;
  TokenizeVerbOptions tokens_;
  DetokenizeVerbOptions ids_;
  TemplateOptions template_;
  DoctorOptions doctor_;
  ConfigOptions config_;
};

int exit_code(const Error& error) {
  return error.param.starts_with("--") ? kExitUsage : kExitFailure;
}

}  // namespace

int run_command(std::span<const std::string> arguments, std::span<const std::string> environment,
                const std::string& version, const Wiring& wiring) {
  CommandLine line(version);
  if (const auto code = line.parse(arguments)) return *code;

  auto configuration = load_configuration(environment, line.flags());
  if (!configuration) {
    if (!line.diagnoses()) {
      report(configuration.error());
      return exit_code(configuration.error());
    }
    line.doctor().configuration_error = configuration.error();
    configuration = default_configuration(environment);
  }
  const bool quiet = line.answers() && configuration->is_default("log_level");
  set_log_level(quiet ? LogLevel::Warning : level_of(configuration->settings.log_level));

  const SteadyClock clock;
  const Context context{std::move(*configuration), version, wiring.start_server,
                        wiring.engine_kinds, clock};
  const auto done = line.action()(context);
  if (done) return kExitOk;
  report(done.error());
  return exit_code(done.error());
}

}  // namespace minerva::cli
