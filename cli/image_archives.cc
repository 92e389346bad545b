// save, load, import, export, and pull from where no registry is.
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "engine/archives.h"
#include "engine/image_changes.h"
#include "oci/image_config.h"
#include "oci/reference.h"

namespace cli {
namespace {

// "-": standard input.
base::UniqueFd open_input(const std::string& path) {
  if (path != "-") return base::open_file(path, O_RDONLY | O_NOCTTY);
  return base::UniqueFd(base::check(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "standard input"));
}

void print_loaded(const engine::LoadedArchiveImage& image) {
  for (const std::string& name : image.names) print("Loaded image: " + name + "\n");
  if (image.names.empty()) print("Loaded image ID: " + image.id + "\n");
}

bool is_url(const std::string& source) {
  return source.starts_with("http://") || source.starts_with("https://");
}

// What `import` says of a download, as docker does on standard output; on a terminal with how much
// is here, on a line that is written again and again and ends with this object.
class DownloadLine {
 public:
  explicit DownloadLine(const std::string& source) : source_(base::printable(source)) {}
  DownloadLine(const DownloadLine&) = delete;
  DownloadLine& operator=(const DownloadLine&) = delete;
  ~DownloadLine() {
    if (is_open_) print("\n");
  }

  void show(const engine::PullProgress& progress) {
    if (progress.kind != "fetching") return;
    if (!has_begun_) print("Downloading from " + source_ + "\n");
    has_begun_ = true;
    if (!is_terminal_) return;
    print("\rImporting  " + base::human_size(progress.current) + "\x1b[K");
    is_open_ = true;
  }

 private:
  std::string source_;
  bool is_terminal_ = isatty(STDOUT_FILENO) == 1;
  bool has_begun_ = false, is_open_ = false;
};

oci::ImageConfig plan_imported_config(const std::string& platform,
                                      const std::vector<std::string>& changes,
                                      const std::string& message) {
  oci::ImageConfig config;
  config.platform = platform.empty() ? oci::Platform::of_host() : oci::Platform::parse(platform);
  config.created = base::format_rfc3339(base::now());
  for (const std::string& change : changes) engine::apply_change(change, config);
  config.history.push_back({.created = config.created, .comment = message});
  return config;
}

}  // namespace

int run_load(const Globals& globals, const Words& words) {
  bool quiet = false;
  std::string input = "-";
  std::string platform;
  parse_arguments(
      {.command = "load",
       .synopsis = "[OPTIONS]",
       .summary = "Load images from a tar archive (docker's or OCI's) or STDIN",
       .min_arguments = 0,
       .max_arguments = 0},
      {{"-i,--input", "string", "Read from tar archive file, instead of STDIN", &input},
       {"-q,--quiet", "", "Suppress the load output", &quiet},
       {"--platform", "string", "Load only the given platform (e.g. \"linux/amd64\")", &platform}},
      words);
  if (input == "-" && isatty(STDIN_FILENO) == 1) {
    throw base::Error(base::ErrorKind::kInvalid, "requested load from stdin, but stdin is empty");
  }
  const base::UniqueFd fd = open_input(input);
  const bool is_drawn = !quiet && isatty(STDOUT_FILENO) == 1;
  PullDisplay display(is_drawn ? PullOutput::kStdout : PullOutput::kQuiet, "oci-archive:-");
  for (const auto& image :
       engine::load_images(globals.config, fd.get(), platform,
                           [&](const auto& progress) { display.show(progress); })) {
    print_loaded(image);
  }
  return 0;
}

int run_save(const Globals& globals, const Words& words) {
  std::string output;
  engine::SaveRequest request;
  request.images = parse_arguments(
      {.command = "save",
       .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
       .summary = "Save one or more images to a tar archive (streamed to STDOUT by default)",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-o,--output", "string", "Write to a file, instead of STDOUT", &output},
       {"--format", "string", "\"docker-archive\" (default) or \"oci-archive\"", &request.format},
       {"--platform", "string", "Save only the given platform (e.g. \"linux/amd64\")",
        &request.platform}},
      words);
  OutputFile file(output);
  save_images(globals.config, request, file.fd());
  file.finish();
  return 0;
}

int run_import(const Globals& globals, const Words& words) {
  std::string message;
  std::string platform;
  std::vector<std::string> changes;
  const Words arguments = parse_arguments(
      {.command = "import",
       .synopsis = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
       .summary = "Import the contents from a tarball to create a filesystem image",
       .min_arguments = 1,
       .max_arguments = 2},
      {{"-c,--change", "list", "Apply Dockerfile instruction to the created image", &changes},
       {"-m,--message", "string", "Set commit message for imported image", &message},
       {"--platform", "string", "Set platform if server is multi-platform capable", &platform}},
      words);
  const std::string& source = arguments[0];
  engine::ImportRequest request;
  if (is_url(source)) request.url = source;
  if (arguments.size() > 1) {
    const auto name = oci::Reference::parse(arguments[1]);
    if (name.digest()) {
      throw base::Error(base::ErrorKind::kInvalid, "cannot import digest reference");
    }
    request.name = arguments[1];
  }
  request.config = oci::render_image_config(plan_imported_config(
      platform, changes, message.empty() ? "Imported from " + source : message));
  base::UniqueFd fd;
  if (request.url.empty()) fd = open_input(source);
  std::string id;
  {
    DownloadLine line(source);
    id = engine::import_image(globals.config, request, fd.get(),
                              [&](const engine::PullProgress& progress) { line.show(progress); });
  }
  print(id + "\n");
  return 0;
}

int run_export(const Globals& globals, const Words& words) {
  std::string output;
  const Words arguments = parse_arguments(
      {.command = "export",
       .synopsis = "[OPTIONS] CONTAINER",
       .summary = "Export a container's filesystem as a tar archive",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"-o,--output", "string", "Write to a file, instead of STDOUT", &output}}, words);
  engine::Engine engine(globals.config);
  engine.load_container(arguments[0]);  // a wrong name leaves no file
  OutputFile file(output);
  export_container(engine, arguments[0], file.fd());
  file.finish();
  return 0;
}

int pull_from_source(const Globals& globals, const std::string& source, const std::string& platform,
                     bool quiet) {
  PullDisplay display(quiet ? PullOutput::kQuiet : PullOutput::kStdout, source);
  const engine::PullSummary summary =
      engine::pull_from(globals.config, source, platform,
                        [&](const engine::PullProgress& progress) { display.show(progress); });
  display.finish(summary);
  print(summary.image_id + "\n");
  return 0;
}

}  // namespace cli
