#include "engine/container_log.h"

#include "base/error.h"
#include "engine/bundle.h"
#include "engine/inspect_words.h"
#include "engine/log/journal_reader.h"
#include "engine/log/log_reader.h"
#include "engine/process_plan.h"

namespace engine {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

LogSubject load_subject(storage::Store& store, const storage::ContainerRow& row,
                        const ContainerOptions& options) {
  LogSubject subject{.id = row.id,
                     .name = row.name,
                     .image_id = row.image.str(),
                     .image_name = row.image_name,
                     .command = {},
                     .env = {}};
  if (options.log_options.empty()) return subject;  // then nobody asks for the rest
  const BundleInput input = load_bundle_input(store, row);
  subject.command = joined(plan_arguments(input.image_config, input.options));
  subject.env = config_environment(input.image_config, input.options);
  return subject;
}

template <typename Reader>
void read_with(Reader&& reader, bool follow, int writer) {
  if (follow && writer >= 0) {
    reader.follow(writer);
  } else {
    reader.read_existing();
  }
}

}  // namespace

fs::path log_path(const storage::Store& store, const std::string& id, const std::string& driver) {
  if (driver == "json-file") return store.container_dir(id) / (id + "-json.log");
  return driver == "local" ? store.container_dir(id) / "container.log" : fs::path();
}

LogWriter open_log(storage::Store& store, const storage::ContainerRow& row,
                   const ContainerOptions& options) {
  const LogSubject subject = load_subject(store, row, options);
  const LogPlan plan = plan_log(options, subject);
  check_log_driver(plan);
  return make_log_writer(plan, subject, log_path(store, row.id, options.log_driver));
}

void read_log(storage::Store& store, const storage::ContainerRow& row,
              const ContainerOptions& options, LogOptions wanted, LogSink sink, int writer) {
  const LogPlan plan = plan_log(options, load_subject(store, row, options));
  wanted.attributes = render_details(plan);
  if (plan.driver == LogDriver::kNone) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "configured logging driver does not support reading");
  }
  if (plan.driver == LogDriver::kJournald) {
    return read_with(JournalReader(row.id, wanted, std::move(sink)), wanted.follow, writer);
  }
  read_with(LogReader(log_path(store, row.id, options.log_driver), format_of(plan), wanted,
                      std::move(sink)),
            wanted.follow, writer);
}

}  // namespace engine
