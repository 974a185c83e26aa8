#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/terminal.h"

namespace minerva::cli {
namespace {

constexpr auto kRedrawAfter = std::chrono::milliseconds(100);
constexpr std::size_t kBarColumnsMax = 40;
constexpr std::string_view kWipe = "\r\x1b[K";

}  // namespace

std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::size_t columns) {
  const double share =
      total == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const std::string tail = fmt::format(" {:3.0f} %", share * 100);
  const std::size_t frame = what.size() + tail.size() + 3;
  if (columns < frame + 5) return tail.substr(0, columns);
  const std::size_t width = std::min(kBarColumnsMax, columns - frame);
  const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
  return fmt::format("{} [{}{}]{}", what, std::string(full, '='), std::string(width - full, ' '),
                     tail);
}

ProgressBar::ProgressBar(std::string what, const Clock& clock)
    : what_(std::move(what)), clock_(clock), visible_(is_terminal(kStderr)), next_(clock.now()) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::update(std::uint64_t done, std::uint64_t total) {
  if (!visible_) return;
  const std::lock_guard lock(mutex_);
  most_ = std::max(most_, done);
  const TimePoint now = clock_.now();
  if (now < next_) return;
  next_ = now + kRedrawAfter;
  drawn_ = true;
  tell(fmt::format("{}{}", kWipe,
                   progress_line(what_, most_, total, terminal_columns(kStderr) - 1)));
}

void ProgressBar::clear() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(drawn_, false)) tell(kWipe);
}

ProgressBar::Callback ProgressBar::callback() {
  return [this](std::uint64_t done, std::uint64_t total) { update(done, total); };
}

}  // namespace minerva::cli
