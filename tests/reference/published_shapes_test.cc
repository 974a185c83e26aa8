// Model folders of the shapes that their makers published (tests/data/shapes), with holes for
// weights: each is taken for what it is and has all that our engine's graph asks for.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engine/model.h"
#include "models/folder_model.h"
#include "models/inspect.h"
#include "support/gguf_writer.h"

namespace minerva::engine {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const std::vector<Json>& published() {
  static const std::vector<Json> kModels = [] {
    std::ifstream in(MINERVA_SOURCE_DIR "/tests/data/shapes/published.json");
    return Json::parse(in).get<std::vector<Json>>();
  }();
  return kModels;
}

// Every number in place of the braces of `name`, the first pair slowest.
void for_each_name(const std::string& name, std::vector<std::uint64_t> counts,
                   const std::function<void(const std::string&)>& use) {
  const std::size_t at = name.find("{}");
  if (at == std::string::npos) return use(name);
  const std::uint64_t count = counts.front();
  counts.erase(counts.begin());
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string one = name;
    for_each_name(one.replace(at, 2, std::to_string(i)), counts, use);
  }
}

// False where the file system has no files of that size.
bool write_weights(const fs::path& path, const Json& tensors) {
  Json header = Json::object();
  std::uint64_t offset = 0;
  for (const Json& row : tensors) {
    const auto shape = row[2].get<std::vector<std::uint64_t>>();
    const std::uint64_t bytes = std::accumulate(
        shape.begin(), shape.end(), std::uint64_t{row[1] == "U8" ? 1U : 2U}, std::multiplies());
    std::vector<std::uint64_t> counts;
    for (std::size_t i = 3; i < row.size(); ++i) counts.push_back(row[i]);
    for_each_name(row[0], counts, [&](const std::string& name) {
      header[name] = {
          {"dtype", row[1]}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
      offset += bytes;
    });
  }
  const std::string text = header.dump();
  std::vector<std::byte> out;
  test::append(out, std::uint64_t{text.size()});
  test::append_text(out, text);
  test::write_file(path, out);
  std::error_code error;
  fs::resize_file(path, out.size() + offset, error);
  return !error;
}

class PublishedShapes : public testing::TestWithParam<std::size_t> {};

TEST_P(PublishedShapes, AreTakenWhole) {
  const Json& model = published()[GetParam()];
  const test::TempFolder folder;
  std::ofstream(folder.path() / "config.json") << model["config"].dump();
  if (!write_weights(folder.path() / "model.safetensors", model["tensors"]))
    GTEST_SKIP() << "NOT RUN: no room for a file of holes of this size";

  const models::ModelEntry entry = models::inspect_path(folder.path().string(), {});
  EXPECT_EQ(entry.problem, "");
  EXPECT_EQ(entry.folder_objection, "");
  const auto file = models::open_model_folder(folder.path().string());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->get_string_or("general.architecture", "").value(), entry.gguf_architecture);
  const auto checked = Model::check(**file);
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_GT(Model::packed_bytes(**file, Numerics::Exact),
            fs::file_size(folder.path() / "model.safetensors") / 2);
}

INSTANTIATE_TEST_SUITE_P(All, PublishedShapes, testing::Range<std::size_t>(0, published().size()),
                         [](const auto& tested) {
                           std::string name = published()[tested.param]["name"];
                           for (char& c : name) c = c == '-' || c == '.' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace minerva::engine
