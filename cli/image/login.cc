// sampan-image login and logout: credentials are verified by the registry and kept as docker keeps
// them.
#include <cstdlib>
#include <optional>
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/registry_arguments.h"
#include "cli/image/system_calls.h"
#include "registry/login_store.h"

namespace cli {
namespace {

constexpr std::size_t kMaxSecretBytes = 1U << 20U;

struct LoginArguments {
  RegistryArguments common;
  std::string server;
  std::string username;
  bool is_token = false;
};

// From standard input, so that nobody sees it in our arguments. One line break at the end is no
// part of it.
std::string read_password() {
  std::string password = base::read_fd(STDIN_FILENO, kMaxSecretBytes);
  if (password.ends_with('\n')) password.pop_back();
  if (password.ends_with('\r')) password.pop_back();
  return password;
}

// What is known already, where the user names nobody.
std::optional<registry::Credentials> find_credentials(const LoginArguments& arguments,
                                                      const std::string& domain) {
  if (!arguments.username.empty()) {
    return registry::Credentials{.username = arguments.username, .password = read_password()};
  }
  return registry::CredentialStore({.docker_config = registry::docker_config_file()})
      .find(domain, "");
}

void log_in(const LoginArguments& arguments, EventWriter& events) {
  const std::string domain = registry::domain_of_server(arguments.server);
  const auto credentials = find_credentials(arguments, domain);
  if (!credentials) {
    throw base::Error(base::ErrorKind::kNotFound, "no credentials for " + domain);
  }
  registry::Setup setup = make_setup(arguments.common, events);
  const registry::Credentials granted = base::while_doing("login to " + domain, [&] {
    RegistryAccess access(std::move(setup), {domain});
    restrict_system_calls();
    return access.client().log_in(domain, *credentials);
  });
  events.send_result({{"username", granted.username}, {"identitytoken", granted.identity_token}});
}

// Apart from log_in(), which can't start helpers any more once it has spoken to a registry.
void keep_login(const LoginArguments& arguments, EventWriter& events) {
  const std::string domain = registry::domain_of_server(arguments.server);
  registry::Credentials credentials{.username = arguments.username};
  (arguments.is_token ? credentials.identity_token : credentials.password) = read_password();
  const registry::LoginPlace place = registry::store_login({}, domain, credentials);
  events.send_result({{"helper", place.helper}, {"file", place.file.string()}});
}

void log_out(const LoginArguments& arguments, EventWriter& events) {
  const std::string domain = registry::domain_of_server(arguments.server);
  const bool was_known = registry::erase_login({}, domain);
  events.send_result({{"known", was_known}});
}

}  // namespace

int run_login_command(int argc, char** argv, EventWriter& events) {
  LoginArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_option("--username", arguments.username, "Empty: the credentials that are known");
    app.add_option("SERVER", arguments.server)->required();
  };
  return run_registry_command(
      {.name = "login",
       .summary = "Log in to a registry; the password is read from standard input",
       .define = define,
       .act = [&] { log_in(arguments, events); }},
      arguments.common, argc, argv);
}

int run_keep_login_command(int argc, char** argv, EventWriter& events) {
  LoginArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_option("--username", arguments.username)->required();
    app.add_flag("--token", arguments.is_token, "The secret is an identity token");
    app.add_option("SERVER", arguments.server)->required();
  };
  return run_registry_command(
      {.name = "keep-login",
       .summary = "Keep what a registry took; the secret is read from standard input",
       .define = define,
       .act = [&] { keep_login(arguments, events); }},
      arguments.common, argc, argv);
}

int run_logout_command(int argc, char** argv, EventWriter& events) {
  LoginArguments arguments;
  return run_registry_command(
      {.name = "logout",
       .summary = "Forget the credentials for a registry",
       .define = [&](CLI::App& app) { app.add_option("SERVER", arguments.server)->required(); },
       .act = [&] { log_out(arguments, events); }},
      arguments.common, argc, argv);
}

}  // namespace cli
