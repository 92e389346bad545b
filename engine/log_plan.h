// LogPlan: what --log-driver and --log-opt ask for, with docker's defaults and refusals.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/log/log_writer.h"
#include "engine/options.h"

namespace engine {

enum class LogDriver { kNone, kJsonFile, kLocal, kJournald };

// What tags and attributes are made of.
struct LogSubject {
  std::string id, name, image_id, image_name, command;
  std::vector<std::string> env;  // the container's, as its first process has it
};

struct LogPlan {
  LogDriver driver = LogDriver::kJsonFile;
  LogLimits limits;
  std::map<std::string, std::string> attributes;  // chosen by labels, env and their -regex
  std::string tag;
};

// Pure. Throws kInvalid with docker's words; `subject` may be empty where only that is of interest.
LogPlan plan_log(const ContainerOptions& options, const LogSubject& subject);

// Throws kUnsupported where the host has no journal.
void check_log_driver(const LogPlan& plan);

LogFormat format_of(const LogPlan& plan);

// Opens nothing yet. `path`: of the files, where there are some.
LogWriter make_log_writer(const LogPlan& plan, const LogSubject& subject, const fs::path& path);

// "k=v,k2=v2", escaped as in a URL: what `logs --details` shows.
std::string render_details(const LogPlan& plan);

// max-size and max-file. Throws kInvalid with docker's words.
LogLimits parse_log_limits(LogDriver driver, std::string_view max_size, std::string_view max_file);

}  // namespace engine
