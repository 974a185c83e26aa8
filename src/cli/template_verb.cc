#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "base/mapped_file.h"
#include "base/utf8.h"
#include "chat/render.h"
#include "chat/template.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "models/vocabulary_cache.h"
#include "serve/model_text.h"
#include "wire/fields.h"
#include "wire/json_guard.h"

namespace minerva::cli {
namespace {

// What the server takes as a request, and no more: the same text must render here and there.
constexpr std::size_t kContextBytesMax = std::size_t{64} << 20;
constexpr std::size_t kTemplateBytesMax = std::size_t{4} << 20;

struct Renderer {
  std::shared_ptr<const chat::ChatTemplate> compiled;
  chat::TemplateTokens tokens;
};

bool is_jinja_file(const std::string& path) {
  std::error_code ignored;
  if (path.ends_with(".gguf") || !std::filesystem::is_regular_file(path, ignored)) return false;
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) != "GGUF";
}

Result<Renderer> renderer_of_file(const std::string& path) {
  MINERVA_ASSIGN(const auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (text.size() > kTemplateBytesMax || !utf8_valid(text)) {
    return fail(ErrorCode::InvalidArgument,
                path + ": neither a model nor a template (it is too large, or not UTF-8)");
  }
  Renderer renderer;
  MINERVA_ASSIGN(renderer.compiled, chat::ChatTemplate::compile(std::string(text)));
  return renderer;
}

Result<Renderer> renderer_of_model(const Context& context, const std::string& model) {
  MINERVA_ASSIGN(const models::ModelEntry entry, find_model(context.settings(), model));
  MINERVA_ASSIGN(const auto vocabulary, models::load_vocabulary(entry.path));
  MINERVA_ASSIGN(const auto text, serve::ModelText::make(vocabulary));
  Renderer renderer;
  MINERVA_ASSIGN(renderer.compiled, text->chat_template());
  renderer.tokens = {vocabulary->bos_text, vocabulary->eos_text, vocabulary->unk_text,
                     vocabulary->pad_text};
  return renderer;
}

}  // namespace

Result<void> render_template(const Context& context, const TemplateOptions& options) {
  const std::string& name = options.model_or_file;
  MINERVA_ASSIGN(const Renderer renderer,
                 is_jinja_file(name) ? renderer_of_file(name) : renderer_of_model(context, name));
  MINERVA_ASSIGN(const std::string input, read_stdin(kContextBytesMax));
  auto variables = wire::parse_json(input);
  if (!variables) return fail(std::move(variables.error()).in("standard input"));
  MINERVA_TRY(wire::must_be_object(*variables, "standard input"));
  MINERVA_ASSIGN(const std::string text, renderer.compiled->render(chat::complete_context(
                                             std::move(*variables), renderer.tokens)));
  return write_out(text);
}

}  // namespace minerva::cli
