// The small pure parts: grammar, routes, replies, responses, metrics.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/prometheus_metrics.h"
#include "http/reply.h"
#include "http/routes.h"
#include "wire/http_grammar.h"
#include "wire/http_response.h"

namespace minerva::http {
namespace {

TEST(Grammar, DecimalNumbers) {
  EXPECT_EQ(wire::parse_decimal("0"), 0u);
  EXPECT_EQ(wire::parse_decimal("007"), 7u);
  EXPECT_EQ(wire::parse_decimal("999999999999999999"), 999999999999999999u);
  for (const char* text :
       {"", "+5", "-5", "5,5", "5 5", "0x5", " 5", "1e3", "5.0", "\xd9\xa5", "1000000000000000000"})
    EXPECT_FALSE(wire::parse_decimal(text)) << text;
}

TEST(Grammar, PercentDecoding) {
  EXPECT_EQ(wire::percent_decode("a%2Fb%20c"), "a/b c");
  EXPECT_EQ(wire::percent_decode("%C3%A9"), "\xC3\xA9");
  EXPECT_EQ(wire::percent_decode("%252e"), "%2e");  // once
  for (const char* text : {"%", "%2", "%zz", "%00", "%0a", "%0D%0A", "%7f", "%c3", "%ff", "a%"})
    EXPECT_FALSE(wire::percent_decode(text)) << text;
}

TEST(Routes, Matching) {
  const Match model = match_route("GET", "/v1/models/org/name%3Aq4");
  ASSERT_NE(model.route, nullptr);
  EXPECT_EQ(model.route->endpoint, Endpoint::Model);
  EXPECT_EQ(model.argument, "org/name:q4");
  EXPECT_EQ(match_route("HEAD", "/health").route->endpoint, Endpoint::Health);
  EXPECT_EQ(match_route("GET", "/v1/models").route->endpoint, Endpoint::Models);

  EXPECT_EQ(match_route("POST", "/v1/models/load").route->endpoint, Endpoint::Load);
  EXPECT_EQ(match_route("GET", "/v1/models/load").route->endpoint, Endpoint::Model);
  EXPECT_EQ(match_route("DELETE", "/v1/models/load").refusal->status, 405u);
  EXPECT_EQ(match_route("POST", "/v1/models/loads").refusal->status, 405u);
  EXPECT_EQ(match_route("GET", "/v1/models/").refusal->status, 404u);
  EXPECT_EQ(match_route("GET", "/v1/models/a%0ab").refusal->status, 400u);
  EXPECT_EQ(match_route("GET", "/V1/models").refusal->status, 404u);
  EXPECT_EQ(match_route("GET", "/health/").refusal->status, 404u);
  EXPECT_EQ(match_route("GET", "//health").refusal->status, 404u);
  EXPECT_EQ(match_route("DELETE", "/v1/models/x").refusal->status, 405u);
  EXPECT_EQ(match_route("POST", "/health").refusal->status, 405u);
  EXPECT_EQ(match_route("HEAD", "/v1/completions").refusal->status, 405u);
  EXPECT_EQ(match_route("GET", "/v1/completions").allow, "POST, OPTIONS");
  EXPECT_FALSE(match_route("OPTIONS", "*").refusal);
}

// A GET must not change anything: everything that generates takes POST.
TEST(Routes, OnlyPostsTakePrompts) {
  for (const Route& route : routes()) {
    const bool loads = route.endpoint == Endpoint::Load || route.endpoint == Endpoint::Unload;
    EXPECT_EQ(route.prompts, route.method == "POST" && !loads) << route.path;
  }
}

TEST(Reply, Bytes) {
  ReplyContext context;
  context.request_id = "req";
  context.version = "9.9";
  context.unix_time = 784111777;
  Reply reply;
  reply.fields.push_back({"x-minerva-route", "a\r\nset-cookie: b\xc3\xa9<>"});
  reply.body = "{}";
  EXPECT_EQ(render(reply, context),
            "HTTP/1.1 200 OK\r\n"
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "server: minerva/9.9\r\n"
            "x-request-id: req\r\n"
            "x-content-type-options: nosniff\r\n"
            "cache-control: no-store\r\n"
            "x-minerva-route: a__set-cookie: b____\r\n"
            "content-type: application/json\r\n"
            "connection: keep-alive\r\n"
            "content-length: 2\r\n"
            "\r\n"
            "{}");
  context.head_only = true;
  EXPECT_TRUE(render(reply, context).ends_with("content-length: 2\r\n\r\n"));
}

TEST(Reply, HeaderValuesAreSafeAndShort) {
  EXPECT_EQ(safe_header_value("llama_cpp; a/b:c (d)=e-1.2,"), "llama_cpp; a/b:c (d)=e-1.2,");
  EXPECT_EQ(safe_header_value(std::string("\x00\x1b[31m\"", 7)), "___31m_");
  EXPECT_EQ(safe_header_value(std::string(5000, 'a')).size(), 200u);
}

TEST(Reply, Chunks) {
  std::string out;
  append_chunk(out, "");
  append_chunk(out, std::string(26, 'x'));
  EXPECT_EQ(out, "1a\r\n" + std::string(26, 'x') + "\r\n");
}

TEST(ResponseParser, HeadsOfAllSorts) {
  wire::ResponseHeadParser parser;
  const std::string bytes =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many\r\nRetry-After: 1\r\n"
      "Content-Length: 3\r\n\r\nabc";
  EXPECT_EQ(parser.feed(bytes), bytes.size() - 3);
  ASSERT_EQ(parser.state(), wire::ParseState::Complete);
  EXPECT_EQ(parser.head().status, 429u);
  EXPECT_EQ(parser.head().find("retry-after"), "1");
  EXPECT_EQ(parser.head().content_length, 3u);
  for (const char* bad :
       {"HTTP/2 200 OK\r\n", "ICY 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000\r\n",
        "HTTP/1.1 200 OK\nX: y\r\n", "HTTP/1.1 200\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200\r\nno colon\r\n"}) {
    wire::ResponseHeadParser refused;
    refused.feed(bad);
    EXPECT_EQ(refused.state(), wire::ParseState::Refused) << bad;
  }
}

TEST(LineSplitter, EverySplitGivesTheSameLines) {
  const std::string text = "one\ntwo\r\n\r\nthree\rfour\n\rlast";
  const std::vector<std::string> expected = {"one", "two", "", "three", "four", ""};
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::vector<std::string> lines;
    wire::LineSplitter splitter(100);
    const auto take = [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    };
    EXPECT_TRUE(splitter.feed(std::string_view(text).substr(0, cut), take));
    EXPECT_TRUE(splitter.feed(std::string_view(text).substr(cut), take));
    EXPECT_EQ(lines, expected) << cut;
  }
  wire::LineSplitter narrow(4);
  EXPECT_FALSE(narrow.feed("12345", [](std::string_view) { return true; }));
  EXPECT_TRUE(narrow.too_long());
}

TEST(PrometheusMetrics, RendersWhatWasCounted) {
  PrometheusMetrics metrics;
  metrics.add(Metric::RequestsTotal, 1, "done");
  metrics.add(Metric::RequestsTotal, 2, "rejected");
  metrics.add(Metric::RequestsTotal, 1, "not an outcome");
  metrics.add(Metric::GeneratedTokensTotal, 7);
  metrics.observe(Metric::TimeToFirstTokenSeconds, 0.2);
  metrics.observe(Metric::BatchWidth, 8);
  metrics.set(Metric::KvPagesUsed, 12);
  const std::string text = metrics.render();
  for (const char* line :
       {"minerva_requests_total{outcome=\"done\"} 1\n",
        "minerva_requests_total{outcome=\"rejected\"} 2\n",
        "minerva_requests_total{outcome=\"other\"} 1\n",
        "minerva_requests_total{outcome=\"cancelled\"} 0\n", "minerva_generated_tokens_total 7\n",
        "minerva_prompt_tokens_total 0\n", "minerva_cached_tokens_total 0\n",
        "minerva_time_to_first_token_seconds_bucket{le=\"0.25\"} 1\n",
        "minerva_time_to_first_token_seconds_bucket{le=\"0.1\"} 0\n",
        "minerva_inter_token_latency_seconds_count 0\n", "minerva_batch_width_sum 8\n",
        "minerva_kv_pages_used 12\n", "minerva_kv_pages_total 0\n", "minerva_queued_requests 0\n",
        "minerva_running_requests 0\n", "minerva_preemptions_total 0\n",
        "minerva_engine_steps_total 0\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

TEST(Metrics, EnginesAndModelsAreLabels) {
  PrometheusMetrics metrics;
  metrics.add(Metric::EngineRestartsTotal, 2, "llama_cpp");
  metrics.add(Metric::RetriesTotal, 1, "remote:office");
  metrics.add(Metric::RetriesTotal, 1, "remote:home");
  metrics.add(Metric::ModelLoadsTotal, 1, "an engine of tomorrow");
  metrics.add(Metric::ModelEvictionsTotal, 3);
  metrics.add(Metric::QuarantinedTotal, 1);
  metrics.observe(Metric::ModelLoadSeconds, 4);
  metrics.set(Metric::LoadedModels, 2);
  metrics.set(Metric::BreakersOpen, 1);
  metrics.set(Metric::ModelMemoryBytes, 1024, "one");
  metrics.set(Metric::ModelMemoryBytes, 2048, "two \"quoted\"");
  const std::string text = metrics.render();
  for (const char* line :
       {"minerva_engine_restarts_total{engine=\"llama_cpp\"} 2\n",
        "minerva_engine_restarts_total{engine=\"native\"} 0\n",
        "minerva_retries_total{engine=\"remote\"} 2\n",
        "minerva_model_loads_total{engine=\"other\"} 1\n", "minerva_model_evictions_total 3\n",
        "minerva_quarantined_total 1\n", "minerva_model_load_seconds_bucket{le=\"5\"} 1\n",
        "minerva_loaded_models 2\n", "minerva_breakers_open 1\n",
        "minerva_model_memory_bytes{model=\"one\"} 1024\n",
        "minerva_model_memory_bytes{model=\"two \\\"quoted\\\"\"} 2048\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  metrics.set(Metric::ModelMemoryBytes, 0, "one");
  metrics.set(Metric::ModelMemoryBytes, 0, "never loaded");
  const std::string later = metrics.render();
  EXPECT_EQ(later.find("model=\"one\""), std::string::npos) << later;
  EXPECT_NE(later.find("two"), std::string::npos) << later;
}

TEST(Metrics, SeriesOfModelsHaveABound) {
  PrometheusMetrics metrics;
  for (int i = 0; i < 1000; ++i)
    metrics.set(Metric::ModelMemoryBytes, 1, "model" + std::to_string(i));
  const std::string text = metrics.render();
  EXPECT_NE(text.find("model=\"model255\""), std::string::npos);
  EXPECT_EQ(text.find("model=\"model256\""), std::string::npos);
}

}  // namespace
}  // namespace minerva::http
