#include "api/openai/models.h"

#include <gtest/gtest.h>

#include <vector>

namespace minerva::api::openai {
namespace {

TEST(Models, SayTheirState) {
  serve::ModelInfo ready;
  ready.name = "smollm2";
  ready.state = serve::ModelState::Ready;
  ready.backend = "native";
  ready.format = "gguf";
  ready.architecture = "llama";
  ready.source = "ollama";
  ready.aliases = {"small"};
  ready.path = "/home/me/secret.gguf";
  ready.context_size = 8192;
  ready.size_bytes = 100;
  ready.created_unix = 1700000000;
  ready.chat_template = "the file's own";
  const std::string one =
      R"({"id":"smollm2","object":"model","created":1700000000,"owned_by":"minerva",)"
      R"("minerva":{"state":"ready","backend":"native","format":"gguf",)"
      R"("architecture":"llama","source":"ollama","aliases":["small"],)"
      R"("context_size":8192,"size_bytes":100,"chat_template":"the file's own"}})";
  EXPECT_EQ(model_body(ready), one);

  serve::ModelInfo broken;
  broken.name = "x\n";
  broken.state = serve::ModelState::Failed;
  broken.problem = "/home/me/models/bro\nken.gguf: tensor data is short";
  const std::string two =
      R"({"id":"x\n","object":"model","created":0,"owned_by":"minerva",)"
      R"("minerva":{"state":"failed","backend":null,"format":null,)"
      R"("architecture":null,"source":null,"aliases":[],)"
      R"("context_size":null,"size_bytes":0,"problem":"bro\\x0aken.gguf: tensor data is short"}})";
  EXPECT_EQ(models_body(std::vector{ready, broken}),
            R"({"object":"list","data":[)" + one + "," + two + "]}");
  ready.state = serve::ModelState::Loading;
  ready.load_percent = 42;
  EXPECT_NE(model_body(ready).find(R"("state":"loading")"), std::string::npos);
  EXPECT_NE(model_body(ready).find(R"("load_percent":42)"), std::string::npos);
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
}

}  // namespace
}  // namespace minerva::api::openai
