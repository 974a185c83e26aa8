#include "app/engine_server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>
#include <vector>

#include "app/engine_set.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/system.h"
#include "cli/context.h"
#include "cli/progress_bar.h"
#include "http/port_owner.h"
#include "http/prometheus_metrics.h"
#include "http/server.h"
#include "serve/local_service.h"

namespace minerva::app {
namespace {

// A model of hundreds of gigabytes from a slow disk.
constexpr auto kLoadTimeMax = std::chrono::hours(2);

// A port that is taken is said before minutes of loading, and not behind them. The server itself
// binds later, and says the same should somebody come in between.
Result<void> check_port(const cli::Settings& settings) {
  using boost::asio::ip::tcp;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(
      settings.host == "localhost" ? "127.0.0.1" : settings.host, error);
  if (error || settings.port == 0) return {};
  const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(settings.port));
  boost::asio::io_context io;
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1, error);
  if (error != boost::asio::error::address_in_use) return {};
  return fail(
      ErrorCode::Unavailable,
      fmt::format("port {} on {} is taken by {}; stop it, or choose another port with --port",
                  settings.port, settings.host,
                  http::port_owner(settings.host, static_cast<unsigned>(settings.port))));
}

// Members in the order of their making; each uses those above it.
class EngineServer final : public cli::LocalServer {
 public:
  explicit EngineServer(cli::Configuration configuration)
      : configuration_(std::move(configuration)), bar_("loading", clock_) {}

  Result<void> open(const std::string& version, std::vector<std::string> environment) {
    const cli::Settings& settings = configuration_.settings;
    EngineSetOptions engine_options;
    engine_options.version = version;
    engine_options.environment = std::move(environment);
    // Models that are loaded for a request later load silently.
    engine_options.progress = [this](std::uint64_t done, std::uint64_t total) {
      if (starting_) bar_.update(done, total);
    };
    MINERVA_ASSIGN(engines_,
                   EngineSet::make(configuration_, std::move(engine_options), clock_, metrics_));
    serve::ServiceOptions options;
    options.models = settings.models;
    options.context_default = static_cast<std::size_t>(settings.context);
    options.requests_max = static_cast<std::size_t>(settings.queue);
    options.models_max = static_cast<std::size_t>(settings.models_max);
    options.load_wait_max = std::chrono::seconds(settings.load_wait_seconds);
    options.rules = configuration_.rules;
    options.learned_memory = models::LearnedMemory::open(configuration_.home.memory_file());
    const serve::ModelSources sources{cli::open_store(settings), engines_->vocabularies()};
    MINERVA_ASSIGN(service_, serve::LocalService::open(std::move(options),
                                                       {engines_->kinds(), engines_->isolated()},
                                                       sources, clock_, metrics_));
    const auto loaded = service_->wait_until_ready(clock_.now() + kLoadTimeMax);
    starting_ = false;
    bar_.clear();
    if (!loaded) return fail(loaded.error());
    allow_connections();
    MINERVA_ASSIGN(server_,
                   http::Server::listen(server_options(version), *service_, metrics_, clock_));
    return {};
  }

  ~EngineServer() override {
    server_.reset();
    service_.reset();
  }

  std::string address() const override { return server_->address(); }
  unsigned port() const override { return server_->port(); }

  std::string summary() const override {
    std::string models;
    std::size_t known = 0;
    for (const serve::ModelInfo& info : service_->models()) {
      ++known;
      if (info.state == serve::ModelState::Ready)
        models += fmt::format("model {}, context {}, ", info.name, info.context_size);
    }
    if (models.empty())
      models = fmt::format("{} model{} known, loaded at first use, ", known, known == 1 ? "" : "s");
    const cli::Compute& compute = engines_->compute();
    return fmt::format("{}native/{}, {} thread{}", models, compute.kernels->name,
                       compute.pool->size(), compute.pool->size() == 1 ? "" : "s");
  }

  std::vector<std::string> model_names() const override {
    std::vector<std::string> names;
    for (const serve::ModelInfo& info : service_->models()) names.push_back(info.name);
    return names;
  }

  void drain(Duration grace) override {
    service_->drain(grace);
    server_->drain(grace);
  }
  void stop() override { server_->stop(); }

 private:
  // The usual soft limit of 1,024 files is less than the connections that are promised.
  void allow_connections() const {
    constexpr std::uint64_t kOtherFiles = 256;  // models, the log, threads' pipes
    const std::uint64_t wanted = configuration_.settings.connections_max + kOtherFiles;
    const std::uint64_t may = raise_open_file_limit(wanted);
    if (may < wanted) {
      log_warning("this process may open {} files; {} connections need {} (ulimit -n)", may,
                  configuration_.settings.connections_max, wanted);
    }
  }

  http::ServerOptions server_options(const std::string& version) const {
    http::ServerOptions options;
    options.host = configuration_.settings.host;
    options.port = static_cast<std::uint16_t>(configuration_.settings.port);
    options.allowed_hosts = configuration_.settings.allowed_hosts;
    options.allowed_origins = configuration_.settings.allowed_origins;
    options.limits.prompt_body_bytes_max =
        static_cast<std::size_t>(configuration_.settings.body_max);
    options.limits.connections_max =
        static_cast<std::size_t>(configuration_.settings.connections_max);
    options.strict = configuration_.settings.strict;
    options.load_wait = std::chrono::seconds(configuration_.settings.load_wait_seconds);
    options.keep_alive_every = std::chrono::seconds(configuration_.settings.keep_alive_seconds);
    options.version = version;
    options.system_fingerprint = fmt::format("fp_{}_{}", version, configuration_.settings.numerics);
    return options;
  }

  const SteadyClock clock_;
  http::PrometheusMetrics metrics_;
  const cli::Configuration configuration_;
  cli::ProgressBar bar_;
  std::atomic<bool> starting_{true};
  std::unique_ptr<EngineSet> engines_;
  std::unique_ptr<serve::LocalService> service_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace

Result<std::unique_ptr<cli::LocalServer>> start_engine_server(
    const cli::Configuration& configuration, const std::string& version,
    std::vector<std::string> environment) {
  MINERVA_TRY(check_port(configuration.settings));
  auto server = std::make_unique<EngineServer>(configuration);
  MINERVA_TRY(server->open(version, std::move(environment)));
  return server;
}

}  // namespace minerva::app
