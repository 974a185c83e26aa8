#include "backend/engine_name.h"

#include <gtest/gtest.h>

#include <string>

namespace minerva::backend {
namespace {

TEST(EngineName, Grammar) {
  for (const char* name :
       {"native", "llama_cpp", "mlx", "remote", "remote:office", "remote:a.b-c_D9"}) {
    EXPECT_TRUE(is_engine_name(name)) << name;
  }
  for (const char* name :
       {"", "auto", "Native", "llama-cpp", "a b", "remote:", "native:x", "remote:.x", "remote:-x",
        "remote:a/b", "remote:a:b", "remote:a\n", "x\r\nSet-Cookie", "../x", "remote:\xc3\xa9"}) {
    EXPECT_FALSE(is_engine_name(name)) << name;
  }
  EXPECT_TRUE(is_engine_name("remote:" + std::string(kRemoteNameBytesMax, 'a')));
  EXPECT_FALSE(is_engine_name("remote:" + std::string(kRemoteNameBytesMax + 1, 'a')));
  EXPECT_FALSE(is_engine_name(std::string(kRemoteNameBytesMax + 1, 'a')));
}

}  // namespace
}  // namespace minerva::backend
