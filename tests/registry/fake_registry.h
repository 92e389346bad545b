// FakeRegistry: tests/fakes/registry.py as a process of this test, told what to serve and how to
// lie.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/process.h"
#include "base/sha256.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "registry/base64.h"
#include "registry/client.h"

namespace registry_test {

using Json = nlohmann::json;

// A folder that goes away with the test.
class TempFolder {
 public:
  TempFolder() { std::filesystem::create_directories(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { base::remove_tree_quietly(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("sampan-registry-" + base::random_hex(8));
};

inline std::string digest_of(const std::string& bytes) {
  return "sha256:" + base::sha256_hex(bytes);
}

// To its end, silently.
inline void run_program(std::vector<std::string> arguments) {
  base::SpawnOptions options;
  options.program = arguments.front();
  options.arguments = std::move(arguments);
  options.descriptors = {{.theirs = 0}, {.theirs = 1}, {.theirs = 2}};
  if (base::wait_for_child(base::spawn(options)) != 0) {
    throw std::runtime_error(options.program + " failed");
  }
}

class FakeRegistry {
 public:
  FakeRegistry() {
    const std::string certificate = (folder_.path() / "certificate.pem").string();
    const std::string key = (folder_.path() / "key.pem").string();
    run_program({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                 "/CN=registry.test", "-addext", "subjectAltName=DNS:registry.test,IP:127.0.0.1",
                 "-keyout", key, "-out", certificate});
    start({"/usr/bin/python3", SAMPAN_SOURCE_DIR "/tests/fakes/registry.py", "--certificate",
           certificate, "--key", key});
    ports_ = read_line();
  }
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;
  ~FakeRegistry() {
    std::fclose(to_);  // it ends when its input does
    std::fclose(from_);
    base::wait_for_child(pid_);
  }

  // One process for all tests of this program.
  static FakeRegistry& shared() {
    static FakeRegistry instance;
    return instance;
  }

  std::string host(const std::string& name = "main") const {
    return "127.0.0.1:" + std::to_string(ports_.at(name).get<int>());
  }
  std::filesystem::path certificate() const { return folder_.path() / "certificate.pem"; }

  void set(const Json& spec) { ask({{"set", spec}}); }
  std::vector<Json> requests(const std::string& port = {}) {
    std::vector<Json> list;
    const Json answer = ask({{"log", true}});
    for (const Json& request : answer.at("requests")) {
      if (port.empty() || request.at("port") == port) list.push_back(request);
    }
    return list;
  }
  // Of all requests to a port: the values of one header, "-" where there was none.
  std::vector<std::string> headers(const std::string& port, const std::string& name) {
    std::vector<std::string> list;
    for (const Json& request : requests(port)) {
      list.push_back(request.at("headers").value(name, "-"));
    }
    return list;
  }

 private:
  void start(std::vector<std::string> arguments) {
    int input[2];
    int output[2];
    base::check(pipe2(input, O_CLOEXEC), "pipe2");
    base::check(pipe2(output, O_CLOEXEC), "pipe2");
    base::SpawnOptions options;
    options.program = arguments.front();
    options.arguments = std::move(arguments);
    options.descriptors = {{.ours = input[0], .theirs = 0},
                           {.ours = output[1], .theirs = 1},
                           {.ours = 2, .theirs = 2}};
    pid_ = base::spawn(options);
    ::close(input[0]);
    ::close(output[1]);
    to_ = fdopen(input[1], "w");
    from_ = fdopen(output[0], "r");
  }

  Json read_line() {
    char* line = nullptr;
    std::size_t size = 0;
    const ssize_t length = getline(&line, &size, from_);
    std::string text(line, length > 0 ? static_cast<std::size_t>(length) : 0);
    std::free(line);
    if (text.empty()) throw std::runtime_error("the fake registry died");
    return Json::parse(text);
  }

  Json ask(const Json& command) {
    std::fputs((command.dump() + "\n").c_str(), to_);
    std::fflush(to_);
    return read_line();
  }

  TempFolder folder_;
  pid_t pid_ = 0;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  Json ports_;
};

// {"faults": […]}. Spelled out because braces alone may make an object of a list of one.
inline Json faults(std::vector<Json> list) {
  Json spec = Json::object();
  spec["faults"] = Json::array();
  for (Json& fault : list) spec["faults"].push_back(std::move(fault));
  return spec;
}

// An image as JSON for the fake, with the words to ask for it.
struct Image {
  std::string config, manifest;
  std::vector<std::string> layers;

  Json as_repository(const std::string& tag = "latest") const {
    Json blobs = {{digest_of(config), registry::encode_base64(config)}};
    for (const std::string& layer : layers) {
      blobs[digest_of(layer)] = registry::encode_base64(layer);
    }
    const Json entry = {{"body", manifest}, {"type", oci::kOciManifest}};
    return {{"manifests", {{tag, entry}, {digest_of(manifest), entry}}}, {"blobs", blobs}};
  }
};

inline Json descriptor_of(const std::string& type, const std::string& bytes) {
  return {{"mediaType", type}, {"digest", digest_of(bytes)}, {"size", bytes.size()}};
}

// `layers` are not really archives: nobody here opens them.
inline Image make_image(const std::string& architecture = "amd64",
                        std::vector<std::string> layers = {"a layer"}) {
  Image image{.config = {}, .manifest = {}, .layers = std::move(layers)};
  Json diff_ids = Json::array();
  Json descriptors = Json::array();
  for (const std::string& layer : image.layers) {
    diff_ids.push_back(digest_of("tar of " + layer));
    descriptors.push_back(descriptor_of(oci::kOciLayerGzip, layer));
  }
  image.config = Json({{"os", "linux"},
                       {"architecture", architecture},
                       {"config", Json::object()},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}})
                     .dump();
  image.manifest = Json({{"schemaVersion", 2},
                         {"mediaType", oci::kOciManifest},
                         {"config", descriptor_of(oci::kOciConfig, image.config)},
                         {"layers", descriptors}})
                       .dump();
  return image;
}

// Pauses of milliseconds, so that tests of retries take no time.
inline registry::ClientOptions quick_options() {
  registry::ClientOptions options;
  options.docker_config = "/nonexistent/config.json";
  options.first_pause_ms = 1;
  options.longest_retry_after_s = 1;
  return options;
}

inline oci::Reference reference_to(const FakeRegistry& fake, const std::string& rest = "a") {
  return oci::Reference::parse(fake.host() + "/" + rest);
}

}  // namespace registry_test
