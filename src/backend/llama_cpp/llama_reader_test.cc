#include "backend/llama_cpp/llama_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "support/byte_vocab.h"
#include "wire/http_response.h"

namespace minerva::backend {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const text::Tokenizer> bytes() {
  return *text::Tokenizer::from_gguf(**formats::GgufFile::parse(test::byte_vocab().bytes()));
}

// Everything that a reader gives, in words.
std::string words(const std::vector<GenerationEvent>& events) {
  std::string out;
  for (const GenerationEvent& event : events) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      out += "token " + std::to_string(token->choice) + " " +
             (token->id ? std::to_string(*token->id) : "?") + " '" + token->bytes + "'";
      if (token->logprob) out += " p" + std::to_string(token->top.size());
      out += "\n";
    } else if (const auto* progress = std::get_if<ProgressEvent>(&event)) {
      out += "prefill " + std::to_string(progress->done) + "/" + std::to_string(progress->total) +
             " " + std::to_string(progress->cached) + "\n";
    } else if (const auto* end = std::get_if<ChoiceEndEvent>(&event)) {
      out += "end " + std::to_string(end->choice) +
             (end->reason == FinishReason::Stop ? " stop\n" : " length\n");
    }
  }
  return out;
}

struct Outcome {
  std::vector<GenerationEvent> events;
  std::string error;
  bool finished = false;
};

Outcome read_all(const std::vector<std::string>& datas, std::uint32_t choices = 1,
                 std::shared_ptr<const text::Tokenizer> tokenizer = bytes(),
                 std::uint64_t max_tokens = 100) {
  LlamaReader reader(choices, std::move(tokenizer), max_tokens);
  Outcome outcome;
  for (const std::string& data : datas) {
    const auto read = reader.read({"", data}, outcome.events);
    if (!read) {
      outcome.error = read.error().message;
      EXPECT_EQ(read.error().code, ErrorCode::Unavailable);
      break;
    }
  }
  outcome.finished = reader.finished();
  return outcome;
}

// As llama-server b10434 wrote it, chunk for chunk.
constexpr std::string_view kTranscript =
    "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nAccess-Control-Allow-Origin: \r\n"
    "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    "ab\r\ndata: {\"index\":0,\"content\":\"\",\"tokens\":[0],\"stop\":false,\"id_slot\":-1,"
    "\"tokens_predicted\":0,\"tokens_evaluated\":5,\"prompt_progress\":{\"total\":5,\"cache\":4,"
    "\"processed\":5,\"time_ms\":53}}\n\n\r\n"
    "13c\r\ndata: {\"index\":0,\"content\":\" P\",\"tokens\":[80],\"stop\":false,\"id_slot\":-1,"
    "\"tokens_predicted\":1,\"tokens_evaluated\":5,\"completion_probabilities\":[{\"id\":80,"
    "\"token\":\" P\",\"bytes\":[32,80],\"logprob\":-0.24842411279678345,\"top_logprobs\":["
    "{\"id\":80,\"token\":\" P\",\"logprob\":-0.24842411279678345},{\"id\":97,\"token\":\"a\","
    "\"logprob\":-2.7847447395324707}]}]}\n\n\r\n"
    "c\r\n: a comment\n\r\n"
    "79\r\ndata: {\"index\":0,\"content\":\"\xE6\xBC\xA2\",\"tokens\":[162],\"stop\":false,"
    "\"id_slot\":-1,\"tokens_predicted\":4,\"tokens_evaluated\":5}\n\n\r\n"
    "7c\r\ndata: {\"stop_type\":\"limit\",\"tokens_evaluated\":5,\"tokens_predicted\":4,"
    "\"stop\":true,\"index\":0,\"timings/cache_n\":4}\n\n\r\n"
    "0\r\n\r\n";

// The transcript in pieces of these lengths, through the parsers as a call uses them.
std::string parse(std::string_view transcript, const std::vector<std::size_t>& cuts) {
  wire::ResponseHeadParser head;
  std::optional<wire::BodyDecoder> body;
  wire::SseParser sse;
  LlamaReader reader(1, bytes(), 100);
  std::vector<GenerationEvent> out;
  std::size_t at = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t end = i < cuts.size() ? cuts[i] : transcript.size();
    std::string_view piece = transcript.substr(at, end - at);
    at = end;
    piece.remove_prefix(head.feed(piece));
    if (head.state() != wire::ParseState::Complete) continue;
    if (!body) body = head.body(1 << 20, false);
    std::string decoded;
    body->feed(piece, decoded);
    std::vector<wire::SseEvent> events;
    EXPECT_TRUE(sse.feed(decoded, events));
    for (const auto& event : events) {
      const auto read = reader.read(event, out);
      EXPECT_TRUE(read) << read.error().message;
    }
  }
  EXPECT_TRUE(body && body->state() == wire::ParseState::Complete);
  EXPECT_TRUE(reader.finished());
  EXPECT_EQ(reader.usage().cached_tokens, 4U);
  return words(out);
}

// With the right sizes of chunks, which would be a nuisance to count by hand.
std::string framed(std::string_view transcript) {
  const std::size_t head = transcript.find("\r\n\r\n") + 4;
  std::string out(transcript.substr(0, head));
  std::string_view rest = transcript.substr(head);
  while (!rest.starts_with("0\r\n")) {
    const std::size_t line = rest.find("\r\n") + 2;
    // Chunks end where a CRLF follows an LF.
    const std::size_t end = rest.find("\n\r\n", line) + 1;
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string size;
    for (std::size_t n = end - line; n > 0; n /= 16) size.insert(size.begin(), kDigits[n % 16]);
    out += size + "\r\n" + std::string(rest.substr(line, end - line)) + "\r\n";
    rest.remove_prefix(end + 2);
  }
  return out + std::string(rest);
}

TEST(LlamaReader, ATranscriptReadsTheSameHoweverItIsCut) {
  const std::string transcript = framed(kTranscript);
  const std::string whole = parse(transcript, {});
  EXPECT_EQ(whole,
            "prefill 5/5 4\n"
            "token 0 80 ' P' p2\n"
            "token 0 230 ''\ntoken 0 188 ''\ntoken 0 162 '\xE6\xBC\xA2'\n"
            "end 0 length\n");
  for (std::size_t cut = 1; cut < transcript.size(); ++cut) {
    ASSERT_EQ(parse(transcript, {cut}), whole) << "cut at " << cut;
  }
  std::vector<std::size_t> everywhere(transcript.size() - 1);
  for (std::size_t i = 0; i < everywhere.size(); ++i) everywhere[i] = i + 1;
  EXPECT_EQ(parse(transcript, everywhere), whole);
}

std::string token(const char* content, const char* ids, int predicted, int index = 0) {
  return R"({"index":)" + std::to_string(index) + R"(,"content":")" + content + R"(","tokens":[)" +
         ids + R"(],"stop":false,"tokens_predicted":)" + std::to_string(predicted) + "}";
}
std::string last(const char* type, int predicted, int index = 0) {
  return R"({"index":)" + std::to_string(index) + R"(,"stop":true,"stop_type":")" + type +
         R"(","tokens_predicted":)" + std::to_string(predicted) + "}";
}

TEST(LlamaReader, TextWhoseTokensCannotBeFoundHasNoIds) {
  // Two tokens, but the text has three bytes and so three tokens of this vocabulary.
  const auto got = read_all({token("abc", "99", 2), last("eos", 2)});
  EXPECT_EQ(words(got.events), "token 0 ? ''\ntoken 0 ? 'abc'\nend 0 stop\n");
  EXPECT_TRUE(got.finished);
}

TEST(LlamaReader, ACharacterThatIsNeverFinished) {
  const auto got = read_all({token("a", "97", 1), last("limit", 3)});
  EXPECT_EQ(words(got.events),
            "token 0 97 'a'\ntoken 0 ? ''\ntoken 0 ? '\xEF\xBF\xBD'\nend 0 length\n");
}

TEST(LlamaReader, WithoutATokenizerTheEndsOwnTokenIsLeftOut) {
  const std::vector<std::string> stream = {token("a", "97", 1), token("", "257", 2),
                                           last("eos", 2)};
  EXPECT_EQ(words(read_all(stream, 1, nullptr).events), "token 0 97 'a'\nend 0 stop\n");
  const std::vector<std::string> goes_on = {token("", "257", 1), token("a", "97", 2),
                                            last("limit", 2)};
  EXPECT_EQ(words(read_all(goes_on, 1, nullptr).events),
            "token 0 257 ''\ntoken 0 97 'a'\nend 0 length\n");
}

TEST(LlamaReader, SeveralChoices) {
  const auto got = read_all({token("a", "97", 1, 1), token("b", "98", 1, 0), last("eos", 1, 0),
                             token("c", "99", 2, 1), last("limit", 2, 1)},
                            2);
  EXPECT_EQ(words(got.events),
            "token 1 97 'a'\ntoken 0 98 'b'\nend 0 stop\ntoken 1 99 'c'\nend 1 length\n");
  EXPECT_TRUE(got.finished);
}

// As b10434 ends an answer with a lone continuation byte in it, having sent nothing from there on.
TEST(LlamaReader, ATokenThatIsNoTextIsOneAllTheSame) {
  const std::string error =
      R"({"error":{"code":500,"message":"The model produced output that does not match the )"
      R"(expected Content-only format","type":"server_error"}})";
  Outcome only = read_all({error}, 1, bytes(), 1);
  EXPECT_EQ(words(only.events), "token 0 ? '\xEF\xBF\xBD'\nend 0 length\n");
  EXPECT_TRUE(only.finished);
  EXPECT_EQ(only.error, "");
  Outcome last_one = read_all({token("a", "97", 1), error}, 1, bytes(), 2);
  EXPECT_EQ(words(last_one.events), "token 0 97 'a'\ntoken 0 ? '\xEF\xBF\xBD'\nend 0 length\n");
  // How many more there were is not known, and what they were neither.
  Outcome some = read_all({token("a", "97", 1), error}, 1, bytes(), 3);
  EXPECT_THAT(some.error, HasSubstr("no UTF-8"));
  EXPECT_FALSE(some.finished);
  EXPECT_THAT(read_all({error}, 2, bytes(), 1).error, HasSubstr("no UTF-8"));
}

TEST(LlamaReader, RefusesWhatMakesNoSense) {
  const auto error = [](const std::string& data) { return read_all({data}).error; };
  EXPECT_THAT(error("{"), HasSubstr("no JSON"));
  EXPECT_THAT(error("[]"), HasSubstr("no object"));
  EXPECT_THAT(error(token("a", "97", 1, 1)), HasSubstr("choice 1 of 1"));
  EXPECT_THAT(error(token("a", "97", 1'000)), HasSubstr("counts 0 tokens and then 1000"));
  EXPECT_THAT(read_all({token("a", "97", 1), token("a", "97", 1)}).error, HasSubstr("counts 1"));
  EXPECT_THAT(read_all({last("eos", 0), last("eos", 0)}).error, HasSubstr("twice"));
  EXPECT_THAT(read_all({last("eos", 0), token("a", "97", 1)}).error, HasSubstr("behind the end"));
  EXPECT_THAT(error(R"({"index":0,"prompt_progress":7})"), HasSubstr("progress"));
  EXPECT_THAT(
      error(R"({"error":{"code":500,"message":"out of cells in /srv/x","type":"server_error"}})"),
      HasSubstr("out of cells in (…)"));
}

// The readers of fields name what is wrong; that it is the engine's fault is said by the caller.
TEST(LlamaReader, RefusesFalseTypes) {
  for (const char* data : {R"({"index":"0"})", R"({"index":-1})", R"({"content":7})",
                           R"({"content":"a","tokens":["x"]})", R"({"content":"a","tokens":[-3]})",
                           R"({"content":"a","tokens":[1e30]})", R"({"tokens_predicted":1.5})"}) {
    LlamaReader reader(1, bytes(), 100);
    std::vector<GenerationEvent> out;
    EXPECT_FALSE(reader.read({"", data}, out)) << data;
  }
}

}  // namespace
}  // namespace minerva::backend
