// qwen2 and qwen3: biases on the queries, keys and values of the former, norms on the queries and
// keys of the latter. Rotary pairs are halves of a head, in GGUF too.
#include "models/family.h"

namespace minerva::models {
namespace {

Result<void> write(FamilyWriter& out) {
  MINERVA_TRY(must_be_one_of(out.config, "hidden_act", {"silu"}));
  // Some layers would see a window only.
  MINERVA_TRY(must_be(out.config, "use_sliding_window", false));
  return write_decoder(out);
}

}  // namespace

Family qwen2_family() { return {{"qwen2"}, "qwen2", {}, write}; }
Family qwen3_family() { return {{"qwen3"}, "qwen3", {}, write}; }

}  // namespace minerva::models
