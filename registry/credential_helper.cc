#include "registry/credential_helper.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/text.h"
#include "oci/json_value.h"
#include "oci/json_writer.h"

namespace registry {
namespace {

constexpr std::string_view kTokenUser = "<token>";
constexpr std::size_t kMaxAnswerBytes = 1U << 20U;

bool is_plain_name(std::string_view suffix) {
  return !suffix.empty() && std::all_of(suffix.begin(), suffix.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && std::strchr("._-", c) != nullptr);
  });
}

// Empty where no directory of $PATH has it.
std::string find_program(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::string_view path = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::filesystem::path program = std::filesystem::path(path.substr(0, end)) / name;
    // A relative entry would run whatever lies in the current directory.
    if (program.is_absolute() && access(program.c_str(), X_OK) == 0) return program;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return {};
}

// A file rather than a pipe: a helper that does not read it can't raise SIGPIPE here.
base::UniqueFd make_input(const std::string& text) {
  base::UniqueFd fd(base::check(memfd_create("input", MFD_CLOEXEC), "memfd_create"));
  base::write_all(fd.get(), text);
  base::check(lseek(fd.get(), 0, SEEK_SET), "lseek");
  return fd;
}

struct Answer {
  int exit_code = 0;
  std::string output;
};

Answer run_program(const std::string& program, const std::string& action, const std::string& text) {
  const base::UniqueFd input = make_input(text);
  int ends[2];
  base::check(pipe2(ends, O_CLOEXEC), "pipe2");
  base::UniqueFd reader(ends[0]);
  base::UniqueFd writer(ends[1]);
  base::SpawnOptions options;
  options.program = program;
  options.arguments = {program, action};
  options.descriptors = {{.ours = input.get(), .theirs = 0},
                         {.ours = writer.get(), .theirs = 1},
                         {.ours = -1, .theirs = 2}};
  const pid_t pid = base::spawn(options);
  writer.reset();
  Answer answer;
  try {
    answer.output = base::read_fd(reader.get(), kMaxAnswerBytes);
  } catch (...) {
    reader.reset();  // the helper gets SIGPIPE and ends
    base::wait_for_child(pid);
    throw;
  }
  answer.exit_code = base::wait_for_child(pid);
  return answer;
}

Credentials parse_answer(const std::string& output) {
  const oci::JsonDocument document(output);
  const std::string username = document.root()["Username"].string();
  std::string secret;
  document.root()["Secret"].read(secret);
  if (username == kTokenUser) return {.identity_token = secret};
  return {.username = username, .password = secret};
}

// What docker-credential-helpers prints; there is no other sign of "I don't know it".
bool knows_nothing(const Answer& answer) {
  return answer.exit_code != 0 && answer.output.find("credentials not found") != std::string::npos;
}

void check(const Answer& answer) {
  if (answer.exit_code == 0) return;
  throw base::Error(
      base::ErrorKind::kUnauthorized,
      "exit code " + std::to_string(answer.exit_code) + ": " + base::printable(answer.output));
}

// Runs it; `use` takes its answer, and its errors name the helper.
template <class Use>
auto with_helper(const std::string& suffix, const std::string& action, const std::string& input,
                 Use&& use) {
  if (!is_plain_name(suffix)) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "invalid credential helper \"" + base::printable(suffix) + "\"");
  }
  const std::string name = "docker-credential-" + suffix;
  const std::string program = find_program(name);
  if (program.empty()) {
    throw base::Error(base::ErrorKind::kNotFound, name + ": executable file not found in $PATH");
  }
  return base::while_doing(name, [&] { return use(run_program(program, action, input)); });
}

}  // namespace

std::optional<Credentials> ask_credential_helper(const std::string& suffix,
                                                 const std::string& server) {
  const auto use = [](const Answer& answer) -> std::optional<Credentials> {
    if (knows_nothing(answer)) return std::nullopt;
    check(answer);
    Credentials credentials = parse_answer(answer.output);
    const bool is_empty = credentials.username.empty() && credentials.identity_token.empty();
    return is_empty ? std::nullopt : std::optional(std::move(credentials));
  };
  return with_helper(suffix, "get", server, use);
}

void store_with_helper(const std::string& suffix, const std::string& server,
                       const Credentials& credentials) {
  const bool is_token = !credentials.identity_token.empty();
  oci::JsonWriter json;
  json.begin_object().key("ServerURL").value(server);
  json.key("Username").value(is_token ? std::string(kTokenUser) : credentials.username);
  json.key("Secret").value(is_token ? credentials.identity_token : credentials.password);
  json.end_object();
  with_helper(suffix, "store", json.take(), [](const Answer& answer) { check(answer); });
}

void erase_with_helper(const std::string& suffix, const std::string& server) {
  with_helper(suffix, "erase", server, [](const Answer& answer) {
    if (!knows_nothing(answer)) check(answer);
  });
}

}  // namespace registry
