#include "cli/registry_helper.h"

#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/image_helper.h"

namespace cli {

nlohmann::json run_registry_helper(
    const Globals& globals, std::string_view command, const Words& words, const std::string& input,
    const std::function<void(const engine::PullProgress&)>& on_progress) {
  // Passwords take this way: other than arguments nobody sees it.
  base::UniqueFd file;
  if (!input.empty()) {
    file = base::UniqueFd(base::check(memfd_create("input", MFD_CLOEXEC), "memfd_create"));
    base::write_all(file.get(), input);
    base::check(lseek(file.get(), 0, SEEK_SET), "lseek");
  }
  engine::HelperCommand helper{.words = {std::string(command)}, .stdin_fd = file.get()};
  for (const std::string& host : globals.config.insecure_registries) {
    helper.words.insert(helper.words.end(), {"--insecure-registry", host});
  }
  helper.words.insert(helper.words.end(), words.begin(), words.end());
  return engine::run_image_helper(globals.config, helper, on_progress);
}

}  // namespace cli
