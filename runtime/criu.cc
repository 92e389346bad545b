#include "runtime/criu.h"

#include <algorithm>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using Words = std::vector<std::string>;

// Empty where there is none.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* folder :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

// The last thing that criu called an error and that says more than that it failed; with the place
// where all of it is.
std::string words_of_log(const fs::path& log) {
  const std::string text = base::find_file(log).value_or("");
  std::string last;
  for (std::size_t at = 0; (at = text.find("Error (", at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool says_nothing = line.find("FAILED.") != std::string::npos ||
                              line.find("exited, status=") != std::string::npos;
    if (!says_nothing || last.empty()) last = line;
    at = end;
  }
  return (last.empty() ? std::string("no reason given") : last) + "; see " + log.string();
}

}  // namespace

void run_criu(const CriuOptions& criu, const Words& words, const std::string& action,
              const std::vector<base::DescriptorMap>& descriptors) {
  const std::string program = find_program(criu.program);
  if (program.empty()) {
    throw Error(ErrorKind::kUnsupported, "checkpoint and restore need criu, and there is no " +
                                             criu.program + " here: install it");
  }
  const fs::path& work = criu.work.empty() ? criu.images : criu.work;
  base::make_dirs(criu.images, 0700);
  base::make_dirs(work, 0700);
  const std::string log = action + ".log";
  Words arguments = {program, action, "-D", criu.images, "-W", work, "-o", log, "-v4"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  arguments.insert(arguments.end(), criu.words.begin(), criu.words.end());
  // How packets are held off meanwhile; criu's own choice is iptables.
  if (find_program("iptables-restore").empty()) {
    arguments.insert(arguments.end(), {"--network-lock", "nftables"});
  }
  std::string line;
  for (const std::string& word : arguments) line += word + " ";
  base::trace("runtime", line);
  const pid_t pid = base::spawn(
      {.program = program, .arguments = arguments, .environment = {}, .descriptors = descriptors});
  if (const int code = base::wait_for_child(pid); code != 0) {
    throw Error(ErrorKind::kSystem, "criu " + action + " failed: " + words_of_log(work / log));
  }
}

}  // namespace runtime
