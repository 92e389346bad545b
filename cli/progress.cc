#include "cli/progress.h"

#include <algorithm>
#include <map>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "oci/reference.h"
#include "oci/transport.h"

namespace cli {
namespace {

constexpr std::size_t kBarWidth = 50;
constexpr base::Nanoseconds kRedrawInterval = 60'000'000;

// "[=====>      ]  12.3MB/45.6MB"
std::string bar(std::uint64_t current, std::uint64_t total) {
  const std::size_t filled =
      total == 0 ? 0 : static_cast<std::size_t>(std::min(current, total) * kBarWidth / total);
  std::string text = "[" + std::string(filled, '=');
  if (filled < kBarWidth) text += ">" + std::string(kBarWidth - filled - 1, ' ');
  return text + "]  " + base::human_size(current) + "/" + base::human_size(total);
}

std::string words_for(const engine::PullProgress& progress, bool with_bar) {
  if (progress.kind == "exists") return "Already exists";
  if (progress.kind == "done") return "Pull complete";
  if (progress.kind == "retrying") return "Retrying: " + base::printable(progress.text);
  if (progress.kind == "unpacking") return "Extracting";
  if (progress.kind == "downloading" && with_bar) {
    return "Downloading " + bar(progress.current, progress.total);
  }
  // A push's.
  if (progress.kind == "preparing") return "Preparing";
  if (progress.kind == "pushing") {
    return with_bar ? "Pushing " + bar(progress.current, progress.total) : "Preparing";
  }
  if (progress.kind == "pushed") return "Pushed";
  if (progress.kind == "there") return "Layer already exists";
  if (progress.kind == "mounted") return "Mounted from " + base::printable(progress.text);
  if (progress.kind == "skipped") return "Skipped foreign layer";
  return "Pulling fs layer";
}

std::size_t terminal_columns(int fd) {
  winsize size = {};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

struct PullDisplay::State {
  PullOutput output = PullOutput::kStdout;
  bool is_terminal = false;
  std::string reference;
  std::vector<std::pair<std::string, std::string>>
      layers;  // in the order of their appearance, with their words
  std::size_t lines_drawn = 0;
  base::Nanoseconds drawn_at = 0;

  void write(const std::string& text) const {
    if (output == PullOutput::kStdout) print(text);
    if (output == PullOutput::kStderr) {
      const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
      static_cast<void>(ignored);
    }
  }

  // Returns whether the words for this layer changed.
  bool remember(const std::string& layer, const std::string& words) {
    const auto found = std::find_if(layers.begin(), layers.end(),
                                    [&](const auto& entry) { return entry.first == layer; });
    if (found == layers.end()) {
      layers.emplace_back(layer, words);
      return true;
    }
    return std::exchange(found->second, words) != words;
  }

  void redraw() {
    std::string text;
    if (lines_drawn > 0) text = "\x1b[" + std::to_string(lines_drawn) + "A";
    const std::size_t columns = terminal_columns(output == PullOutput::kStdout ? 1 : 2);
    for (const auto& [layer, words] : layers) {
      text += "\r" + (layer + ": " + words).substr(0, columns - 1) + "\x1b[K\n";
    }
    lines_drawn = layers.size();
    write(text);
  }
};

PullDisplay::PullDisplay(PullOutput output, std::string reference)
    : state_(std::make_unique<State>()) {
  state_->output = output;
  state_->reference = std::move(reference);
  state_->is_terminal =
      output != PullOutput::kQuiet && isatty(output == PullOutput::kStdout ? 1 : 2) == 1;
}
PullDisplay::~PullDisplay() = default;

void PullDisplay::show(const engine::PullProgress& progress) {
  State& state = *state_;
  if (progress.kind == "warning") {
    print_error("WARNING: " + base::printable(progress.text, progress.text.size()));
    return;
  }
  if (progress.kind == "named") {  // what a short name stands for (registries.conf)
    state.reference = progress.text;
    return;
  }
  if (state.output == PullOutput::kQuiet) return;
  if (progress.kind == "missing") {
    state.write("Unable to find image '" + progress.text + "' locally\n");
    return;
  }
  if (progress.kind == "resolved" && oci::find_transport(state.reference)) return;
  if (progress.kind == "resolved") {
    const auto reference = oci::Reference::parse(state.reference);
    const std::string name = reference.manifest_name();
    state.write(name + ": Pulling from " + reference.path() + "\n");
    return;
  }
  if (progress.layer.empty()) return;
  const bool changed = state.remember(progress.layer, words_for(progress, state.is_terminal));
  if (!changed) return;
  if (!state.is_terminal) {
    state.write(progress.layer + ": " + words_for(progress, false) + "\n");
    return;
  }
  const base::Nanoseconds now = base::now();
  if (progress.kind == "downloading" && now - state.drawn_at < kRedrawInterval) return;
  state.drawn_at = now;
  state.redraw();
}

void PullDisplay::finish(const engine::PullSummary& summary) {
  State& state = *state_;
  if (!summary.warning.empty())
    print_error(base::printable(summary.warning, summary.warning.size()));
  if (state.output == PullOutput::kQuiet) return;
  if (state.is_terminal) state.redraw();
  const std::string name = oci::find_transport(state.reference)
                               ? base::printable(state.reference, state.reference.size())
                               : oci::Reference::parse(state.reference).familiar();
  state.write("Digest: " + summary.digest + "\nStatus: " +
              (summary.changed ? "Downloaded newer image for " : "Image is up to date for ") +
              name + "\n");
}

}  // namespace cli
