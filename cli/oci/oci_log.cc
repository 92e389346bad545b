#include "cli/oci/oci_log.h"

#include <cstdio>
#include <fcntl.h>

#include "base/files.h"
#include "base/text.h"
#include "base/time.h"
#include "oci/json_writer.h"

namespace cli_oci {
namespace {

constexpr std::size_t kLongestLine = 8192;  // criu's and a hook's own words are part of some

std::string format_line(const Globals& globals, std::string_view level, std::string_view text) {
  const std::string time = base::format_rfc3339(base::now() / 1000000000 * 1000000000);
  const auto quoted = [](std::string_view value) {
    oci::JsonWriter writer;
    writer.value(value);
    return writer.take();
  };
  if (globals.json_log) {
    oci::JsonWriter writer;
    writer.begin_object()
        .key("level")
        .value(level)
        .key("msg")
        .value(text)
        .key("time")
        .value(time)
        .end_object();
    return writer.take() + "\n";
  }
  return "time=" + quoted(time) + " level=" + std::string(level) + " msg=" + quoted(text) + "\n";
}

}  // namespace

void log_line(const Globals& globals, std::string_view level, std::string_view text) {
  const std::string line = format_line(globals, level, text);
  if (globals.log.empty()) {
    std::fputs(line.c_str(), stderr);
    return;
  }
  try {
    const base::UniqueFd file = base::open_file(globals.log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    base::write_all(file.get(), line);
  } catch (const base::Error& error) {
    std::fprintf(stderr, "sampan-oci: log: %s\n", error.what());
  }
}

void report_failure(const Globals& globals, std::string_view text) {
  if (!globals.log.empty()) log_line(globals, "error", text);
  // One line, and nothing that drives a terminal: part of it comes from whoever wrote the
  // container.
  std::fprintf(stderr, "sampan-oci: %s\n", base::printable(text, kLongestLine).c_str());
}

}  // namespace cli_oci
