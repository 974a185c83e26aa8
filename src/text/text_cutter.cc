#include "text/text_cutter.h"

namespace minerva::text {

std::vector<Scanner> TextCutter::scanners() const {
  std::vector<Scanner> out;
  for (const auto& stage : stages_) {
    if (stage->scanner() == nullptr) return {};
    out.push_back(stage->scanner());
  }
  return out;
}

Result<void> TextCutter::cut(std::string_view text, bool at_start, const PieceSink& sink) const {
  return cut_from(0, text, at_start, sink);
}

Result<void> TextCutter::cut_from(std::size_t stage, std::string_view text, bool at_start,
                                  const PieceSink& sink) const {
  if (text.empty()) return {};
  if (stage == stages_.size()) return sink(text, at_start);
  if (stage + 1 == stages_.size()) return stages_[stage]->cut(text, at_start, sink);
  return stages_[stage]->cut(text, at_start, [&](std::string_view piece, bool first) {
    return cut_from(stage + 1, piece, first, sink);
  });
}

}  // namespace minerva::text
