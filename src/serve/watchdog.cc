#include "serve/watchdog.h"

#include <algorithm>

namespace minerva::serve {
namespace {

// Multiples of what was measured. An engine that was slow for a while is given up soon enough, even
// where computing doubles it, for another to answer within a minute and a half.
constexpr int kUsualGaps = 6;
constexpr int kLongestGaps = 2;
constexpr int kPrefillFactor = 2;
// This share of one processor counts as computing.
constexpr double kComputing = 0.2;

}  // namespace

Duration Watchdog::patience(std::uint64_t prompt_tokens) const {
  const double prefill = static_cast<double>(prompt_tokens) / options_.prefill_tokens_per_second;
  const Duration reading =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(prefill)) * kPrefillFactor;
  Duration patience = std::max(
      {options_.patience_min, usual_gap_ * kUsualGaps, longest_gap_ * kLongestGaps, reading});
  return std::min(patience, options_.patience_max);
}

Watchdog::Verdict Watchdog::look(const Look& look) {
  if (look.cpu_time) cpu_last_ = *look.cpu_time;
  const bool moved = !began_ || look.activity.progress != progress_;
  if (look.activity.running == 0 || moved) {
    if (began_ && moved && look.activity.running > 0) {
      const Duration gap = look.now - since_;
      usual_gap_ = usual_gap_ == Duration{} ? gap : (usual_gap_ * 7 + gap) / 8;
      longest_gap_ = std::max(gap, longest_gap_ - longest_gap_ / 64);
    }
    began_ = look.activity.running > 0;
    progress_ = look.activity.progress;
    since_ = look.now;
    cpu_since_ = look.cpu_time;
    extended_ = false;
    return Verdict::Fine;
  }
  if (!cpu_since_) cpu_since_ = look.cpu_time;
  const Duration still = look.now - since_;
  const Duration patience = this->patience(look.prompt_tokens);
  if (still < patience) return Verdict::Fine;
  if (!extended_ && cpu_since_) {
    const auto computed = std::chrono::duration<double>(cpu_last_ - *cpu_since_).count();
    if (computed >= kComputing * std::chrono::duration<double>(still).count()) extended_ = true;
  }
  return extended_ && still < patience * 2 ? Verdict::Fine : Verdict::Suspect;
}

void Watchdog::passed(TimePoint now) {
  since_ = now;
  cpu_since_.reset();
  extended_ = false;
}

void Watchdog::restart() { began_ = false; }

}  // namespace minerva::serve
