// login, logout, search, manifest inspect.
#include <iostream>
#include <termios.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/listing.h"
#include "cli/manifest_view.h"
#include "cli/registry_helper.h"
#include "oci/reference.h"

namespace cli {
namespace {

constexpr std::size_t kMaxSecretBytes = 1U << 20U;

[[noreturn]] void throw_invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// While it lasts the terminal does not show what is typed.
class HiddenInput {
 public:
  HiddenInput() {
    if (tcgetattr(STDIN_FILENO, &old_) != 0) return;
    termios hidden = old_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &hidden) == 0;
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;
  ~HiddenInput() {
    if (is_changed_) tcsetattr(STDIN_FILENO, TCSANOW, &old_);
  }

 private:
  termios old_ = {};
  bool is_changed_ = false;
};

std::string read_line(const std::string& prompt) {
  print(prompt);
  std::string line;
  std::getline(std::cin, line);
  return line;
}

std::string read_secret() {
  const HiddenInput hidden;
  const std::string line = read_line("Password: ");
  print("\n");
  return line;
}

struct LoginOptions {
  std::string username, password;
  bool password_stdin = false;
};

void check(const LoginOptions& options) {
  if (!options.password.empty()) {
    print_error("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    if (options.password_stdin) {
      throw_invalid("--password and --password-stdin are mutually exclusive");
    }
  }
  if (options.password_stdin && options.username.empty()) {
    throw_invalid("Must provide --username with --password-stdin");
  }
}

// Fills in what was not said.
void complete(LoginOptions& options) {
  if (options.password_stdin) {
    options.password = base::read_fd(STDIN_FILENO, kMaxSecretBytes);
    while (options.password.ends_with('\n') || options.password.ends_with('\r')) {
      options.password.pop_back();
    }
    return;
  }
  if (!options.username.empty() && !options.password.empty()) return;
  if (isatty(STDIN_FILENO) != 1) {
    throw_invalid("Cannot perform an interactive login from a non TTY device");
  }
  if (options.username.empty()) options.username = read_line("Username: ");
  if (options.username.empty()) throw_invalid("username is required");
  if (options.password.empty()) options.password = read_secret();
  if (options.password.empty()) throw_invalid("password is required");
}

// docker tries what it knows before it asks.
bool log_in_as_known(const Globals& globals, const std::string& server) {
  try {
    run_registry_helper(globals, "login", {"--", server});
  } catch (const base::Error& error) {
    if (error.kind() == base::ErrorKind::kNotFound) return false;
    print_error("Login did not succeed, error: " + std::string(error.what()));
    return false;
  }
  print("Authenticating with existing credentials...\n");
  return true;
}

void keep(const Globals& globals, const std::string& server, const LoginOptions& options,
          const std::string& identity_token) {
  Words words = {"--username", options.username};
  if (!identity_token.empty()) words.emplace_back("--token");
  words.insert(words.end(), {"--", server});
  const nlohmann::json place = run_registry_helper(
      globals, "keep-login", words, identity_token.empty() ? options.password : identity_token);
  if (!place.value("helper", "").empty()) return;
  print_error("\nWARNING! Your credentials are stored unencrypted in '" +
              base::printable(place.value("file", ""), 4096) +
              "'.\nConfigure a credential helper to remove this warning. See\n"
              "https://docs.docker.com/go/credential-store/\n");
}

}  // namespace

int run_login(const Globals& globals, const Words& words) {
  LoginOptions options;
  const Words arguments = parse_arguments(
      {.command = "login",
       .synopsis = "[OPTIONS] [SERVER]",
       .summary = "Log in to a registry",
       .min_arguments = 0,
       .max_arguments = 1},
      {{"-u,--username", "string", "Username", &options.username},
       {"-p,--password", "string", "Password", &options.password},
       {"--password-stdin", "", "Take the password from stdin", &options.password_stdin}},
      words);
  check(options);
  const std::string server = arguments.empty() ? "docker.io" : arguments[0];
  const bool says_nothing = options.username.empty() && options.password.empty();
  if (!says_nothing || !log_in_as_known(globals, server)) {
    complete(options);
    const nlohmann::json result = run_registry_helper(
        globals, "login", {"--username", options.username, "--", server}, options.password);
    keep(globals, server, options, result.value("identitytoken", ""));
  }
  print("Login Succeeded\n");
  return 0;
}

int run_logout(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments({.command = "logout",
                                           .synopsis = "[SERVER]",
                                           .summary = "Log out from a registry",
                                           .min_arguments = 0,
                                           .max_arguments = 1},
                                          {}, words);
  const std::string server = arguments.empty() ? "docker.io" : arguments[0];
  const nlohmann::json result = run_registry_helper(globals, "logout", {"--", server});
  const std::string shown = arguments.empty() ? "https://index.docker.io/v1/" : server;
  const bool was_known = result.value("known", false);
  print((was_known ? "Removing login credentials for " : "Not logged in to ") + shown + "\n");
  return 0;
}

int run_search(const Globals& globals, const Words& words) {
  int limit = 25;
  bool list_tags = false;
  bool no_trunc = false;
  std::string format;
  const Words arguments = parse_arguments(
      {.command = "search",
       .synopsis = "[OPTIONS] REGISTRY[/TERM]",
       .summary = "List the repositories of a registry whose names contain TERM",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"--limit", "int", "Max number of search results (default 25)", &limit},
       {"--list-tags", "", "List the tags of the repository REGISTRY/TERM", &list_tags},
       {"--no-trunc", "", "Don't truncate output (it never is)", &no_trunc},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  const std::string& subject = arguments[0];
  const std::size_t slash = subject.find('/');
  const std::string host = subject.substr(0, slash);
  const std::string term = slash == std::string::npos ? std::string() : subject.substr(slash + 1);
  if (host.find_first_of(".:") == std::string::npos && host != "localhost") {
    throw_invalid("name the registry to be searched: sampan search REGISTRY[/TERM]");
  }
  if (limit < 1) throw_invalid("invalid limit: it must be at least 1");
  std::vector<std::string> fields = {"Name"};
  if (list_tags) fields.emplace_back("Tag");
  Listing listing(format, fields, {{"Name", "NAME"}, {"Tag", "TAG"}});
  if (list_tags) {
    const nlohmann::json result = run_registry_helper(globals, "tags", {"--", subject});
    int left = limit;
    for (const nlohmann::json& tag : result.at("tags")) {
      if (left-- > 0) listing.add({{"Name", subject}, {"Tag", tag}});
    }
  } else {
    const nlohmann::json result = run_registry_helper(
        globals, "search", {"--limit", std::to_string(limit), "--term", term, "--", host});
    for (const nlohmann::json& name : result.at("repositories")) {
      listing.add({{"Name", host + "/" + name.get<std::string>()}});
    }
  }
  print(listing.render());
  return 0;
}

int run_manifest_inspect(const Globals& globals, const Words& words) {
  bool verbose = false;
  bool insecure = false;
  bool referrers = false;
  std::string artifact_type;
  const Words arguments = parse_arguments(
      {.command = "manifest inspect",
       .synopsis = "[OPTIONS] MANIFEST",
       .summary = "Display an image manifest, or manifest list",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"-v,--verbose", "", "Output additional info including layers and platform", &verbose},
       {"--insecure", "", "Allow communication with an insecure registry", &insecure},
       {"--referrers", "", "Display what refers to the manifest, as an index", &referrers},
       {"--artifact-type", "string", "Only referrers of this type", &artifact_type}},
      words);
  const auto reference = oci::Reference::parse(arguments[0]);
  Words more;
  if (insecure) more.insert(more.end(), {"--insecure-registry", reference.domain()});
  if (verbose) more.emplace_back("--verbose");
  if (referrers) more.emplace_back("--referrers");
  if (!artifact_type.empty()) more.insert(more.end(), {"--artifact-type", artifact_type});
  more.insert(more.end(), {"--", arguments[0]});
  const nlohmann::json result = run_registry_helper(globals, "manifest", more);
  print(render_manifests(result,
                         verbose ? ManifestDetail::kWithDescriptors : ManifestDetail::kContent));
  return 0;
}

}  // namespace cli
