#include "engine/log/log_view.h"

namespace engine {
namespace {

constexpr std::size_t kBatch = 64U << 10U;

// "2026-11-21T22:09:09.120000000Z": always nine digits, as docker's `logs -t`.
std::string fixed_time(base::Nanoseconds time) {
  std::string text = base::format_rfc3339(time);
  const std::size_t dot = text.find('.');
  const std::size_t zone = text.size() - 1;
  if (dot == std::string::npos) return text.substr(0, zone) + ".000000000Z";
  return text.substr(0, zone) + std::string(9 - (zone - dot - 1), '0') + "Z";
}

}  // namespace

void LogView::show(const LogEntry& entry) {
  if (options_.since != 0 && entry.time < options_.since) return;
  if (options_.until != 0 && entry.time > options_.until) {
    past_end_ = true;
    return;
  }
  if (entry.is_stderr != shown_is_stderr_ || shown_.size() > kBatch) flush();
  shown_is_stderr_ = entry.is_stderr;
  if (options_.timestamps) shown_ += fixed_time(entry.time) + " ";
  if (options_.details) shown_ += options_.attributes + " ";
  shown_ += entry.text;
}

void LogView::flush() {
  if (shown_.empty()) return;
  sink_(shown_is_stderr_, shown_);
  shown_.clear();
}

void LogView::show_gap(std::uint64_t bytes) {
  flush();
  sink_(true, "sampan: " + base::human_size(bytes) +
                  " of this log are missing here: nobody read them until the disk was nearly "
                  "full\n");
}

}  // namespace engine
