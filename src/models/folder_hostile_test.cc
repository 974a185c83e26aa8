// S05: a model folder comes from anywhere. Whatever its safetensors files and their index say, each
// lie is refused by all that open it, in words that name the file; and nothing is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "models/conversion.h"
#include "models/folder_model.h"
#include "models/inspect.h"
#include "models/test_folders.h"

namespace minerva::models {
namespace {

namespace fs = std::filesystem;
using formats::GgufFile;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kWeights = "model.safetensors";

struct Lie {
  const char* name;
  std::function<void(const fs::path& folder, std::vector<std::byte> honest)> tell;
  const char* file;  // that the message names
  const char* words;
};

void write_weights(const fs::path& folder, const std::vector<std::byte>& bytes) {
  write_bytes(folder / kWeights, bytes);
}

// Changes the header in place: `to` is as long as `from`.
void change_header(const fs::path& folder, std::vector<std::byte> bytes, std::string_view from,
                   std::string_view to) {
  std::string text = text_of(bytes);
  const std::size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  ASSERT_EQ(from.size(), to.size());
  std::ranges::copy(std::as_bytes(std::span(to)), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  write_weights(folder, bytes);
}

std::vector<std::byte> with_length(std::vector<std::byte> bytes, std::uint64_t length) {
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes;
}

void write_index(const fs::path& folder, std::string_view shard) {
  write_text(folder / "model.safetensors.index.json",
             fmt::format(R"({{"weight_map":{{"model.norm.weight":"{}"}}}})", shard));
}

const Lie kLies[] = {
    {"LengthOfNothing",
     [](const fs::path& to, auto bytes) { write_weights(to, with_length(bytes, 0)); }, kWeights,
     "the header's length is 0"},
    {"LengthOverTheFile",
     [](const fs::path& to, auto bytes) { write_weights(to, with_length(bytes, 99'999'999)); },
     kWeights, "the header should have 99999999 bytes"},
    {"LengthOverTheBound",
     [](const fs::path& to, auto bytes) { write_weights(to, with_length(bytes, 100'000'001)); },
     kWeights, "at most 100000000 are allowed"},
    {"LengthThatWraps",
     [](const fs::path& to, auto bytes) { write_weights(to, with_length(bytes, 1ULL << 63)); },
     kWeights, "9223372036854775808"},
    {"SevenBytes", [](const fs::path& to, auto) { write_weights(to, std::vector<std::byte>(7)); },
     kWeights, "the file has 7 bytes"},
    {"NoObject",
     [](const fs::path& to, auto) { write_weights(to, test::safetensors_bytes("[]", 0)); },
     kWeights, "does not begin with '{'"},
    {"Deep",
     [](const fs::path& to, auto) {
       write_weights(to, test::safetensors_bytes("{\"x\":" + std::string(100'000, '['), 0));
     },
     kWeights, "inside each other"},
    {"NameTwice",
     [](const fs::path& to, auto bytes) {
       change_header(to, std::move(bytes), "layers.0.mlp.up_proj", "layers.1.mlp.up_proj");
     },
     kWeights, "twice"},
    {"ShapeThatIsNotItsBytes",
     [](const fs::path& to, auto bytes) {
       change_header(to, std::move(bytes), "[96,64]", "[95,64]");
     },
     kWeights, "dtype and shape need 24320 bytes, its offsets give 24576"},
    {"MetadataThatIsNoText",
     [](const fs::path& to, auto) {
       write_weights(to, test::safetensors_bytes(R"({"__metadata__":{"format":7}})", 0));
     },
     kWeights, "is no string"},
    {"CutShort",
     [](const fs::path& to, auto bytes) {
       bytes.resize(bytes.size() - 1);
       write_weights(to, bytes);
     },
     kWeights, "not finished"},
    {"BytesOfNobody",
     [](const fs::path& to, auto bytes) {
       bytes.resize(bytes.size() + 3);
       write_weights(to, bytes);
     },
     kWeights, "3 bytes belong to nothing"},
    {"IndexThatLeadsOut",
     [](const fs::path& to, auto bytes) {
       write_bytes(to.parent_path() / "x.safetensors", bytes);
       write_index(to, "../x.safetensors");
     },
     "model.safetensors.index.json", "is not the name of a .safetensors file beside it"},
    {"IndexToWhatIsNotThere",
     [](const fs::path& to, auto bytes) {
       write_weights(to, bytes);
       write_index(to, "other.safetensors");
     },
     "", "other.safetensors is missing"},
    {"LinkThatLeadsOut",
     [](const fs::path& to, auto bytes) {
       write_bytes(to.parent_path() / "x.safetensors", bytes);
       fs::create_symlink("../x.safetensors", to / kWeights);
     },
     kWeights, "link"},
};

class HostileFolder : public testing::TestWithParam<Lie> {};

TEST_P(HostileFolder, IsRefusedInWordsThatNameTheFile) {
  const test::TempFolder temporary;
  const fs::path folder = temporary.path() / "model";
  const auto honest = GgufFile::parse(test::tiny_model(tiny_llama()).bytes()).value();
  write_text(folder / "config.json", tiny_llama_config());
  write_text(folder / "tokenizer.json", kTinyTokenizer);
  GetParam().tell(folder, test::safetensors_file(folder_tensors(*honest, 32)));

  const auto opened = open_model_folder(folder.string());
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message,
              AllOf(HasSubstr(GetParam().file), HasSubstr(GetParam().words)));
  EXPECT_THAT(inspect_path(folder.string(), {}).problem, HasSubstr(GetParam().words));
  const fs::path out = temporary.path() / "out.gguf";
  const auto converted = convert_model(folder.string(), out.string(), {});
  ASSERT_FALSE(converted);
  EXPECT_THAT(converted.error().message, HasSubstr(GetParam().words));
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(out.string() + ".part"));
}

INSTANTIATE_TEST_SUITE_P(Lies, HostileFolder, testing::ValuesIn(kLies),
                         [](const auto& info) { return std::string(info.param.name); });

// What the lies are told of is opened and converted.
TEST(HonestFolder, IsReadAndConverted) {
  const test::TempFolder temporary;
  const fs::path folder = temporary.path() / "model";
  const auto honest = GgufFile::parse(test::tiny_model(tiny_llama()).bytes()).value();
  write_text(folder / "config.json", tiny_llama_config());
  std::string letters;
  const std::uint64_t rows = honest->find_tensor("token_embd.weight")->dims[1];
  for (std::uint64_t id = 2; id < rows; ++id) letters += fmt::format(R"(,"t{}":{})", id, id);
  const auto tokenizer = [&](std::string_view more) {
    return R"({"added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"aa":1)" + letters +
           std::string(more) + R"(},"merges":["a a"]},"pre_tokenizer":{"type":"ByteLevel",)" +
           R"("add_prefix_space":false,"use_regex":true},"decoder":{"type":"ByteLevel"}})";
  };
  write_text(folder / "tokenizer.json", tokenizer(""));
  write_bytes(folder / kWeights, test::safetensors_file(folder_tensors(*honest, 32)));
  const fs::path out = temporary.path() / "out.gguf";
  const auto converted = convert_model(folder.string(), out.string(), {});
  ASSERT_TRUE(converted) << converted.error().message;
  const auto file = GgufFile::open(out.string()).value();
  EXPECT_EQ(file->tensors().size(), honest->tensors().size());
  EXPECT_EQ(file->get_string("general.type").value(), "model");
  EXPECT_EQ(file->get_string("general.size_label").value(), "121K");

  // S03: a token that has no row of the embedding.
  write_text(folder / "tokenizer.json", tokenizer(fmt::format(R"(,"more":{})", rows)));
  const auto more = convert_model(folder.string(), (temporary.path() / "more.gguf").string(), {});
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().message,
              HasSubstr(fmt::format("its tokenizer has {} tokens, and its embedding {} rows",
                                    rows + 1, rows)));
}

}  // namespace
}  // namespace minerva::models
