// Any body, to any endpoint: a Call or an error that becomes a 4xx answer; never an exception,
// and never the 500 that parse() turns one into.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/openai/embeddings.h"
#include "api/openai/error_answer.h"
#include "api/openai/parse.h"
#include "base/check.h"
#include "wire/json_guard.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace minerva;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  api::CallContext context;
  context.request_id = "1";
  context.images = size % 2 == 0;
  for (auto* const parse : {&api::openai::parse_chat_completion, &api::openai::parse_completion}) {
    auto call = parse(body, context);
    if (call) {
      MINERVA_CHECK(call->encoder != nullptr);
      MINERVA_CHECK(call->request.n >= 1 && call->request.n <= 16);
      MINERVA_CHECK(call->ignored.size() <= 16);
      call->encoder->on_delta(serve::TextDelta{0, std::string(body), {}});
      call->encoder->on_delta(serve::EndDelta{});
      call->encoder->finish();
    } else {
      const auto answer = api::openai::error_answer(call.error());
      MINERVA_CHECK(answer.status >= 400 && answer.status < 500);
      MINERVA_CHECK(wire::check_json(answer.body).has_value());
    }
  }
  auto embeddings = api::openai::parse_embeddings(body, context);
  if (embeddings) {
    embeddings->encoder->on_delta(serve::EmbeddingDelta{0, {1.5F}});
    embeddings->encoder->on_delta(serve::EndDelta{});
    MINERVA_CHECK(wire::check_json(embeddings->encoder->finish()).has_value());
  } else {
    const auto answer = api::openai::error_answer(embeddings.error());
    MINERVA_CHECK(answer.status >= 400 && answer.status < 500);
  }
  return 0;
}
