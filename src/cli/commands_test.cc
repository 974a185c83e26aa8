// The command line by itself: which verbs there are and how it is refused. What the verbs do is
// tested on the program (tests/cli/).
#include "cli/commands.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace minerva::cli {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome run(const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment = {"MINERVA_HOME=/nowhere"}) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_command(
      arguments, environment, "9.8.7",
      {[](const Configuration&, const std::string&) -> Result<std::unique_ptr<LocalServer>> {
         return fail(ErrorCode::Unavailable, "no server in this test");
       },
       {}});
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(Commands, HelpAndVersion) {
  EXPECT_EQ(run({"--version"}).out, "minerva 9.8.7\n");
  EXPECT_EQ(run({"--version"}).code, kExitOk);
  const Outcome help = run({"--help"});
  EXPECT_EQ(help.code, kExitOk);
  for (const char* verb :
       {"serve", "run", "ps", "load", "unload", "route", "list", "show", "tokenize", "detokenize",
        "embed", "template", "eval", "convert", "bench", "doctor", "config"}) {
    EXPECT_NE(help.out.find(verb), std::string::npos) << verb;
    const Outcome own = run({verb, "--help"});
    EXPECT_EQ(own.code, kExitOk) << verb;
    EXPECT_NE(own.out.find("--help"), std::string::npos) << verb;
  }
}

TEST(Commands, AWrongCommandLineIsCode2) {
  EXPECT_EQ(run({}).code, kExitUsage);
  EXPECT_EQ(run({"list", "--nope"}).code, kExitUsage);
  EXPECT_EQ(run({"show"}).code, kExitUsage);
  EXPECT_EQ(run({"serve", "--port", "x"}).code, kExitUsage);
  EXPECT_EQ(run({"eval", "m", "--text", "f", "--kl-to", "f16"}).code, kExitUsage);
  const Outcome typo = run({"sreve"});
  EXPECT_EQ(typo.code, kExitUsage);
  EXPECT_EQ(typo.err,
            "minerva: there is no command \"sreve\"; did you mean serve? (`minerva --help` lists "
            "them)\n");
}

TEST(Commands, AFailureIsCode1AndSaysWhy) {
  const Outcome failed = run({"serve"});
  EXPECT_EQ(failed.code, kExitFailure);
  EXPECT_EQ(failed.err, "minerva: no server in this test\n");
  EXPECT_EQ(run({"list"}, {"MINERVA_HOME=/nowhere", "MINERVA_PROT=1"}).code, kExitFailure);
}

TEST(Commands, ConfigShowsWhereValuesCameFrom) {
  const Outcome shown =
      run({"config", "--threads", "7", "--json"}, {"MINERVA_HOME=/nowhere", "MINERVA_PORT=12"});
  EXPECT_EQ(shown.code, kExitOk);
  EXPECT_NE(shown.out.find(R"("threads":{"value":7,"source":"--threads"})"), std::string::npos);
  EXPECT_NE(shown.out.find(R"("port":{"value":12,"source":"MINERVA_PORT"})"), std::string::npos);
  EXPECT_NE(shown.out.find(R"("host":{"value":"127.0.0.1","source":"default"})"),
            std::string::npos);
}

TEST(Commands, RepeatedFlags) {
  const Outcome models = run({"config", "--json", "--model", "a", "--model", "b"});
  EXPECT_NE(models.out.find(R"("models":{"value":["a","b"],"source":"--model"})"),
            std::string::npos)
      << models.out;
  const Outcome last = run({"config", "--json", "--port", "1", "--port", "2"});
  EXPECT_NE(last.out.find(R"("port":{"value":2)"), std::string::npos) << last.out;
}

TEST(Commands, DoctorRunsWithABrokenConfiguration) {
  const Outcome report = run({"doctor", "--json"}, {"MINERVA_HOME=/nowhere", "MINERVA_PROT=1"});
  EXPECT_EQ(report.code, kExitOk);
  EXPECT_NE(report.out.find("MINERVA_PROT"), std::string::npos) << report.out;
}

}  // namespace
}  // namespace minerva::cli
