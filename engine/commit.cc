#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "engine/change_source.h"
#include "engine/changes.h"
#include "engine/engine_state.h"
#include "engine/image_changes.h"
#include "engine/image_helper.h"
#include "engine/isolation.h"
#include "engine/reconcile.h"
#include "oci/reference.h"

namespace engine {
namespace {

// Frozen by its monitor until the link is closed: by us, or by the kernel if we are killed.
std::optional<MonitorLink> hold(const RunDirectory& directory) {
  auto link = connect_monitor(directory, 0);
  if (!link) return link;  // it has ended just now, and stands still for good
  link->send(FrameType::kHold, {});
  while (const auto frame = link->wait_next()) {
    if (frame->type == FrameType::kDone) return link;
    if (frame->type == FrameType::kError) throw parse_error(frame->payload);
  }
  return std::nullopt;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

oci::ImageConfig plan_config(const storage::ImageRow& image, const storage::ContainerRow& row,
                             const CommitRequest& request) {
  oci::ImageConfig config =
      config_of_container(oci::parse_image_config(image.config), parse_options(row.options));
  const std::string command = join(config.cmd);
  for (const std::string& change : request.changes) apply_change(change, config);
  config.created = base::format_rfc3339(base::now());
  config.author = request.author;
  config.history.push_back({.created = config.created,
                            .created_by = command,
                            .author = request.author,
                            .comment = request.message});
  return config;
}

// A config may be longer than an argument.
base::UniqueFd as_file(const std::string& text) {
  base::UniqueFd fd(base::check(memfd_create("config", MFD_CLOEXEC), "memfd_create"));
  base::write_all(fd.get(), text);
  base::check(lseek(fd.get(), 0, SEEK_SET), "lseek");
  return fd;
}

void check_name(const std::string& name) {
  if (!name.empty() && oci::Reference::parse(name).digest()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "refusing to create a tag with a digest reference");
  }
}

}  // namespace

std::string Engine::commit(std::string_view name_or_id, const CommitRequest& request) {
  check_name(request.name);
  const storage::ContainerRow row = state_->load_current_row(name_or_id);
  if (has_user_namespace(parse_options(row.options))) {
    // The layer would have the ids that the container's users have outside.
    throw base::Error(base::ErrorKind::kUnsupported,
                      "commit of a container with a user namespace of its own");
  }
  const storage::ImageRow image = state_->store.load_image(row.image);
  const base::UniqueFd config = as_file(oci::render_image_config(plan_config(image, row, request)));
  std::optional<MonitorLink> held;
  if (request.pause && has_process(row.status)) held = hold(state_->directory_of(row.id));
  const ChangeSource source = open_change_source(state_->store, row);

  HelperCommand command{.words = {"commit", "--container", row.id, "--parent", image.id.hex()},
                        .stdin_fd = config.get(),
                        .directory_fd = source.lower.get()};
  if (!request.name.empty()) {
    command.words.insert(command.words.end(), {"--name", request.name});
  }
  for (const std::string& path : source.hidden) {
    command.words.insert(command.words.end(), {"--hide", path});
  }
  const std::string id =
      run_image_helper(state_->config, command, {}).value("image", std::string());
  held.reset();
  state_->store.add_event("container", "commit", row.id,
                          nlohmann::json{{"comment", request.message},
                                         {"image", row.image_name},
                                         {"imageID", id},
                                         {"name", row.name}}
                              .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return id;
}

}  // namespace engine
