#include "chat/known_templates.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace minerva::chat {
namespace {

// Content that is null prints as nothing. Bare roles only: tools need a template that knows the
// model's own format, which only its file can say.
constexpr std::string_view kChatml = R"({%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + (message.content or '') + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %})";

// Gemma has no system turn: the instructions open the first turn of the user.
constexpr std::string_view kGemma = R"({{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
    {%- if message.role in ['system', 'developer'] %}
        {%- set ns.system = ns.system + (message.content or '') + '\n\n' %}
    {%- else %}
        {%- set role = 'model' if message.role == 'assistant' else 'user' %}
        {{- '<start_of_turn>' + role + '\n' }}
        {%- if role == 'user' %}
            {{- ns.system }}
            {%- set ns.system = '' %}
        {%- endif %}
        {{- (message.content or '') | trim }}
        {{- '<end_of_turn>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %})";

constexpr std::string_view kLlama3 = R"({{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
    {{- (message.content or '') | trim }}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %})";

// The system prompt opens the next turn of the user; the answer follows its closing bracket, so
// there is nothing to add for a generation prompt.
constexpr std::string_view kMistral = R"({{- bos_token }}
{%- set ns = namespace(system='') %}
{%- for message in messages %}
    {%- if message.role in ['system', 'developer'] %}
        {%- set ns.system = ns.system + (message.content or '') + '\n\n' %}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + (message.content or '') | trim + eos_token }}
    {%- else %}
        {{- '[INST] ' + ns.system + (message.content or '') + ' [/INST]' }}
        {%- set ns.system = '' %}
    {%- endif %}
{%- endfor %})";

// A base model has no turns. Lines that name the speaker are what it has read most of.
constexpr std::string_view kPlain = R"({%- for message in messages %}
    {{- message.role | capitalize + ': ' + (message.content or '') | trim + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Assistant:' }}
{%- endif %})";

struct Family {
  std::string_view name;
  std::string_view source;
  std::string_view open;   // both markers must be in the vocabulary
  std::string_view close;  //
};

constexpr std::array<Family, 4> kFamilies = {{
    {"chatml", kChatml, "<|im_start|>", "<|im_end|>"},
    {"llama3", kLlama3, "<|start_header_id|>", "<|eot_id|>"},
    {"gemma", kGemma, "<start_of_turn>", "<end_of_turn>"},
    {"mistral", kMistral, "[INST]", "[/INST]"},
}};

}  // namespace

std::string_view known_template(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (family.name == name) return family.source;
  }
  return name == "plain" ? kPlain : std::string_view{};
}

KnownTemplate pick_template(std::string_view architecture, std::string_view model_name,
                            const std::function<bool(std::string_view)>& has_token) {
  for (const Family& family : kFamilies) {
    if (has_token(family.open) && has_token(family.close)) {
      return {family.name, family.source,
              "the model has no chat template; its vocabulary has " + std::string(family.open)};
    }
  }
  std::string name(model_name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  // The first Mistrals write their brackets as plain text.
  const bool instruct = name.find("instruct") != std::string::npos;
  if (architecture == "llama" && instruct && name.find("mistral") != std::string::npos) {
    return {"mistral", kMistral, "the model has no chat template; its name says Mistral Instruct"};
  }
  return {"plain", kPlain,
          "the model has no chat template and its vocabulary no known turn markers: it may be a "
          "base model, which completes text rather than answers"};
}

}  // namespace minerva::chat
