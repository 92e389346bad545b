#include "engine/log_plan.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <regex.h>
#include <set>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/query_text.h"
#include "engine/log/log_journal.h"
#include "engine/template/template.h"

namespace engine {
namespace {

using Attributes = std::map<std::string, std::string>;
using Words = std::set<std::string, std::less<>>;

constexpr std::size_t kShortId = 12;

[[noreturn]] void refuse(const std::string& why) {
  throw base::Error(base::ErrorKind::kInvalid, why);
}

[[noreturn]] void refuse_to_begin(const std::string& why) {
  refuse("failed to initialize logging driver: " + why);
}

LogDriver parse_driver(const std::string& name) {
  if (name == "none") return LogDriver::kNone;
  if (name == "json-file") return LogDriver::kJsonFile;
  if (name == "local") return LogDriver::kLocal;
  if (name == "journald") return LogDriver::kJournald;
  refuse("logger: no log driver named '" + name + "' is registered");
}

const Words& known_options(LogDriver driver) {
  static const Words kNone;
  static const Words kLocal = {"max-size", "max-file", "compress"};
  static const Words kJson = {"max-size",     "max-file", "compress",  "labels",
                              "labels-regex", "env",      "env-regex", "tag"};
  static const Words kJournal = {"labels", "labels-regex", "env", "env-regex", "tag"};
  switch (driver) {
    case LogDriver::kLocal:
      return kLocal;
    case LogDriver::kJsonFile:
      return kJson;
    case LogDriver::kJournald:
      return kJournal;
    default:
      return kNone;
  }
}

// `mode` and `max-buffer-size` are known and change nothing: no driver of ours makes a container
// wait for ever.
void check_names(const ContainerOptions& options, LogDriver driver) {
  if (driver == LogDriver::kNone && !options.log_options.empty()) {
    refuse("invalid logging opts for driver none");
  }
  const auto mode = options.log_options.find("mode");
  const std::string chosen = mode == options.log_options.end() ? "" : mode->second;
  if (!chosen.empty() && chosen != "blocking" && chosen != "non-blocking") {
    refuse("logger: logging mode not supported: " + chosen);
  }
  for (const auto& [name, value] : options.log_options) {
    if (name == "mode" || known_options(driver).contains(name)) continue;
    if (name == "max-buffer-size") {
      if (chosen != "non-blocking") {
        refuse("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
      }
      base::parse_size_binary(value);
      continue;
    }
    refuse("unknown log opt '" + name + "' for " +
           (driver == LogDriver::kLocal ? "log driver local" : options.log_driver + " log driver"));
  }
}

std::string option_of(const ContainerOptions& options, const char* name) {
  const auto it = options.log_options.find(name);
  return it == options.log_options.end() ? std::string() : it->second;
}

// As Go's strconv.ParseBool.
bool parse_go_bool(const std::string& text) {
  static const Words kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  static const Words kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (kTrue.contains(text)) return true;
  if (kFalse.contains(text)) return false;
  refuse_to_begin("strconv.ParseBool: parsing \"" + text + "\": invalid syntax");
}

LogLimits plan_limits(const ContainerOptions& options, LogDriver driver) {
  LogLimits limits =
      parse_log_limits(driver, option_of(options, "max-size"), option_of(options, "max-file"));
  const std::string compress = option_of(options, "compress");
  limits.compress = compress.empty() ? driver == LogDriver::kLocal : parse_go_bool(compress);
  if (!limits.compress || limits.max_files > 1) return limits;
  refuse_to_begin(
      driver == LogDriver::kLocal
          ? "compression cannot be enabled when max file count is 1"
          : "compress cannot be true when max-file is less than 2 or max-size is not set");
}

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::size_t start = 0;
  while (start < list.size()) {
    const std::size_t end = std::min(list.find(',', start), list.size());
    words.push_back(list.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

// Of `from`, what is named in `list` or matches `pattern`.
void choose(const Attributes& from, const std::string& list, const std::string& pattern,
            Attributes& chosen) {
  for (const std::string& name : words_of(list)) {
    if (const auto it = from.find(name); it != from.end()) chosen.insert(*it);
  }
  if (pattern.empty()) return;
  regex_t compiled = {};
  if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    refuse_to_begin("error parsing regexp: " + pattern);
  }
  for (const auto& item : from) {
    if (regexec(&compiled, item.first.c_str(), 0, nullptr, 0) == 0) chosen.insert(item);
  }
  regfree(&compiled);
}

Attributes plan_attributes(const ContainerOptions& options, const LogSubject& subject) {
  Attributes env;
  for (const std::string& entry : subject.env) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string::npos) env[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  Attributes chosen;
  choose(options.labels, option_of(options, "labels"), option_of(options, "labels-regex"), chosen);
  choose(env, option_of(options, "env"), option_of(options, "env-regex"), chosen);
  return chosen;
}

std::string plan_tag(const std::string& text, const LogSubject& subject,
                     const Attributes& attributes) {
  if (text.empty()) return text;
  const nlohmann::json fields = {{"ID", subject.id.substr(0, kShortId)},
                                 {"FullID", subject.id},
                                 {"Name", subject.name},
                                 {"FullName", subject.name},
                                 {"ImageID", subject.image_id.substr(0, kShortId)},
                                 {"ImageFullID", subject.image_id},
                                 {"ImageName", subject.image_name},
                                 {"Command", subject.command},
                                 {"DaemonName", "sampan"},
                                 {"ExtraAttributes", attributes}};
  try {
    return Template(text).render(fields);
  } catch (const base::Error& error) {
    refuse_to_begin(error.what());
  }
}

// Names of the journal's fields have capitals, digits and '_' only; docker replaces the others.
std::string field_name(const std::string& name) {
  std::string field;
  for (const char c : name) {
    const bool is_word = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    field += is_word ? c : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : '_';
  }
  field.erase(0, field.find_first_not_of('_'));
  return field;
}

std::string journal_fields(const LogPlan& plan, const LogSubject& subject) {
  std::string fields;
  const std::string tag = plan.tag.empty() ? subject.id.substr(0, kShortId) : plan.tag;
  append_journal_field(fields, "CONTAINER_ID", subject.id.substr(0, kShortId));
  append_journal_field(fields, "CONTAINER_ID_FULL", subject.id);
  append_journal_field(fields, "CONTAINER_NAME", subject.name);
  append_journal_field(fields, "CONTAINER_TAG", tag);
  append_journal_field(fields, "IMAGE_NAME", subject.image_name);
  append_journal_field(fields, "SYSLOG_IDENTIFIER", tag);
  for (const auto& [name, value] : plan.attributes) {
    if (const std::string field = field_name(name); !field.empty()) {
      append_journal_field(fields, field, value);
    }
  }
  return fields;
}

Attributes with_tag(const LogPlan& plan) {
  Attributes all = plan.attributes;
  if (!plan.tag.empty() && plan.driver == LogDriver::kJsonFile) all["tag"] = plan.tag;
  return all;
}

}  // namespace

LogLimits parse_log_limits(LogDriver driver, std::string_view max_size, std::string_view max_file) {
  LogLimits limits;
  if (!max_size.empty()) {
    const bool unbounded = max_size == "-1" && driver == LogDriver::kJsonFile;
    const std::int64_t size = unbounded ? INT64_MAX : base::parse_size_binary(max_size);
    if (size <= 0) refuse("max-size must be a positive number");
    limits.max_size = static_cast<std::uint64_t>(size);
    // docker's json-file has one file unless told.
    if (max_file.empty() && driver == LogDriver::kJsonFile) limits.max_files = 1;
  }
  if (max_file.empty()) return limits;
  const auto [end, error] =
      std::from_chars(max_file.data(), max_file.data() + max_file.size(), limits.max_files);
  if (error != std::errc() || end != max_file.data() + max_file.size() || limits.max_files < 1) {
    refuse("max-file cannot be less than 1");
  }
  return limits;
}

LogPlan plan_log(const ContainerOptions& options, const LogSubject& subject) {
  LogPlan plan;
  plan.driver = parse_driver(options.log_driver);
  check_names(options, plan.driver);
  if (plan.driver == LogDriver::kNone) return plan;
  if (plan.driver != LogDriver::kJournald) plan.limits = plan_limits(options, plan.driver);
  plan.attributes = plan_attributes(options, subject);
  plan.tag = plan_tag(option_of(options, "tag"), subject, plan.attributes);
  return plan;
}

void check_log_driver(const LogPlan& plan) {
  if (plan.driver != LogDriver::kJournald) return;
  struct stat info = {};
  if (stat(kJournalSocket, &info) == 0 && S_ISSOCK(info.st_mode)) return;
  throw base::Error(base::ErrorKind::kUnsupported,
                    "failed to initialize logging driver: journald is not enabled on this host: " +
                        std::string(kJournalSocket) + " is not there");
}

LogFormat format_of(const LogPlan& plan) {
  return plan.driver == LogDriver::kLocal ? LogFormat::kLocal : LogFormat::kJson;
}

LogWriter make_log_writer(const LogPlan& plan, const LogSubject& subject, const fs::path& path) {
  if (plan.driver == LogDriver::kNone) return {};
  if (plan.driver == LogDriver::kJournald) {
    return LogWriter(std::make_unique<LogJournal>(kJournalSocket, journal_fields(plan, subject)));
  }
  const Attributes all = with_tag(plan);
  const std::string shown =
      all.empty()
          ? std::string()
          : nlohmann::json(all).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return LogWriter(std::make_unique<LogFile>(path, format_of(plan), plan.limits, shown));
}

std::string render_details(const LogPlan& plan) {
  std::string text;
  for (const auto& [name, value] : with_tag(plan)) {
    text += (text.empty() ? "" : ",") + base::escape_query(name) + "=" + base::escape_query(value);
  }
  return text;
}

}  // namespace engine
