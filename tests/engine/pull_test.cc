// engine::pull against a registry on loopback that also lies.
#include <algorithm>
#include <sys/stat.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/image/puller.h"
#include "tests/engine/pull_support.h"

namespace engine_test {
namespace {

using base::ErrorKind;
using engine::PullEvent;
using engine::PullOptions;
using engine::PullResult;
using storage::Store;
using storage_test::content;
using storage_test::TarItem;
using testing::HasSubstr;

namespace fs = std::filesystem;

class Pull : public testing::Test {
 protected:
  void serve(const registry_test::Image& image, std::vector<Json> faults = {}) {
    Json spec = registry_test::faults(std::move(faults));
    spec["repositories"]["a"] = image.as_repository();
    fake_.set(spec);
  }
  void serve(const ImageSpec& spec) { serve(make_image(spec)); }

  PullOptions options() const {
    PullOptions options;
    options.platform = oci::Platform::of_host();
    return options;
  }

  PullResult pull(const std::string& rest = "a") {
    events_.clear();
    engine::RegistryProcess registry(registry_program());
    return engine::pull(store_, registry.client(), registry_test::reference_to(fake_, rest),
                        options(), [this](const PullEvent& event) { events_.push_back(event); });
  }

  void expect_error(ErrorKind kind, const std::string& text) {
    SCOPED_TRACE(text);
    const auto [seen, message] = storage_test::error_of([&] { pull(); });
    EXPECT_EQ(seen, kind) << message;
    EXPECT_THAT(message, testing::StartsWith("pull " + fake_.host() + "/a:latest: "));
    EXPECT_THAT(message, HasSubstr(text));
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_TRUE(store_.list_images().empty());
    EXPECT_TRUE(fs::is_empty(store_.staging_dir()));
  }

  fs::path layer_dir(std::size_t index) {
    return store_.layer_dir(store_.find_image(name())->layer_keys.at(index));
  }
  std::string name(const std::string& rest = "a") const { return fake_.host() + "/" + rest; }

  int requests_for(const std::string& digest) {
    const auto list = fake_.requests("main");
    return static_cast<int>(std::count_if(list.begin(), list.end(), [&](const Json& request) {
      return request.at("path").get<std::string>().find(digest) != std::string::npos;
    }));
  }

  FakeRegistry& fake_ = FakeRegistry::shared();
  TempDir root_;
  Store store_{root_.path() / "store"};
  std::vector<PullEvent> events_;
};

TEST_F(Pull, MakesTheImageExist) {
  const Layer one = Layer::gzip(make_tar(1, 20, 5000)), two = Layer::zstd(make_tar(2, 3, 100));
  const Layer three = Layer::plain(Tar().dir("./").file("etc/name", "three"));
  serve(ImageSpec{.layers = {one, two, three, two}});
  const PullResult result = pull();
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(result.warning, "");
  const auto row = store_.find_image(name());
  ASSERT_TRUE(row);
  EXPECT_EQ(row->id, result.image);
  EXPECT_EQ(row->manifest_digest, result.digest);
  EXPECT_EQ(row->layer_keys,
            (std::vector<std::string>{one.diff_id().substr(7), two.diff_id().substr(7),
                                      three.diff_id().substr(7), two.diff_id().substr(7)}));
  EXPECT_EQ(row->created, base::parse_rfc3339("2024-01-02T03:04:05Z"));
  EXPECT_GT(row->size, 100'000U);
  EXPECT_EQ(content(layer_dir(2) / "etc/name"), "three");
  EXPECT_EQ(storage_test::names_in(layer_dir(0)).size(), 25U);
  EXPECT_TRUE(fs::is_empty(store_.staging_dir()));
}

TEST_F(Pull, SaysWhatHappens) {
  const Layer one = Layer::gzip(make_tar(1, 20, 5000)), two = Layer::gzip(make_tar(2, 3, 100));
  serve(ImageSpec{.layers = {one, two}});
  pull();
  ASSERT_GE(events_.size(), 7U);
  EXPECT_EQ(events_[0].kind, PullEvent::Kind::kResolved);
  EXPECT_EQ(events_[1].kind, PullEvent::Kind::kDownloading);
  EXPECT_EQ(events_[1].layer, one.digest().substr(7, 12));
  EXPECT_EQ(events_[2].layer, two.digest().substr(7, 12));
  std::vector<PullEvent::Kind> kinds;
  for (const PullEvent& event : events_) {
    if (event.layer != one.digest().substr(7, 12)) continue;
    if (kinds.empty() || kinds.back() != event.kind) kinds.push_back(event.kind);
    EXPECT_EQ(event.total, one.blob.size());
  }
  EXPECT_EQ(kinds, (std::vector{PullEvent::Kind::kDownloading, PullEvent::Kind::kUnpacking,
                                PullEvent::Kind::kLayerDone}));
}

TEST_F(Pull, FetchesNothingTwice) {
  const Layer one = Layer::gzip(make_tar(1, 5, 5000)), two = Layer::gzip(make_tar(2, 3, 100));
  serve(ImageSpec{.layers = {one}});
  pull();
  EXPECT_EQ(requests_for(one.digest()), 1);
  const std::size_t asked = fake_.requests("main").size();
  EXPECT_FALSE(pull().changed);
  EXPECT_EQ(fake_.requests("main").size(), asked + 1);  // the tag's digest, by HEAD
  EXPECT_EQ(fake_.requests("main").back()["method"], "HEAD");
  EXPECT_EQ(events_.back().kind, PullEvent::Kind::kResolved);
  serve(ImageSpec{.layers = {one, two}});
  EXPECT_TRUE(pull().changed);
  EXPECT_EQ(requests_for(one.digest()), 0);
  EXPECT_EQ(requests_for(two.digest()), 1);
  EXPECT_EQ(store_.list_images().size(), 2U);
}

TEST_F(Pull, ResumesWhatBreaks) {
  const Layer layer = Layer::gzip(make_tar(3, 40, 20'000));
  serve(make_image({.layers = {layer}}), {{{"path", "/blobs/" + layer.digest()},
                                           {"action", "truncate"},
                                           {"after", 300'000},
                                           {"times", 2}}});
  pull();
  EXPECT_EQ(storage_test::names_in(layer_dir(0)).size(), 45U);
  EXPECT_GT(requests_for(layer.digest()), 1);
}

TEST_F(Pull, NothingIsLeftOfALayerWithTheWrongDigest) {
  const Layer one = Layer::gzip(make_tar(1, 20, 5000)), two = Layer::gzip(make_tar(2, 50, 5000));
  serve(make_image({.layers = {one, two}}),
        {{{"path", "/blobs/" + two.digest()}, {"action", "swap"}}});
  expect_error(ErrorKind::kCorrupt, "layer " + two.digest().substr(7, 12) + ": ");
  EXPECT_FALSE(store_.has_layer(two.diff_id().substr(7)));
  serve(ImageSpec{.layers = {one, two}});
  pull();
}

TEST_F(Pull, RefusesImagesThatDoNotFitTogether) {
  const Layer one = Layer::gzip(make_tar(1, 2, 100)), two = Layer::gzip(make_tar(2, 2, 100));
  const ImageSpec spec = {.layers = {one, two}};
  serve(make_image(spec, [](Json& config) { config["rootfs"]["diff_ids"].erase(0); }));
  expect_error(ErrorKind::kInvalid, "its manifest has 2 layers, its config 1");
  serve(make_image(spec, [&](Json& config) {
    std::swap(config["rootfs"]["diff_ids"][0], config["rootfs"]["diff_ids"][1]);
  }));
  expect_error(ErrorKind::kCorrupt, "uncompressed digest mismatch");
  serve(make_image(spec, {}, [](Json& manifest) { manifest["layers"][1]["size"] = 20; }));
  expect_error(ErrorKind::kCorrupt, "layer " + two.digest().substr(7, 12));
  serve(ImageSpec{.layers = {one}, .os = "windows"});
  expect_error(ErrorKind::kUnsupported, "image operating system \"windows\"");
  serve(ImageSpec{.layers = {one}, .config_type = "application/vnd.cncf.helm.config.v1+json"});
  expect_error(ErrorKind::kUnsupported, "no image that can be run");
}

TEST_F(Pull, HostileLayersLeaveNothing) {
  serve(ImageSpec{.layers = {Layer::gzip(Tar().file("../../escape", "x"))}});
  expect_error(ErrorKind::kInvalid, "\"..\" in a path");
  serve(ImageSpec{.layers = {Layer::plain(Tar().hard_link("a", "b"))}});
  expect_error(ErrorKind::kInvalid, "neither in this layer nor below it");
}

TEST_F(Pull, SaysWhoIsMissing) {
  serve(ImageSpec{.layers = {}});
  EXPECT_EQ(storage_test::error_of([&] { pull("unknown"); }).first, ErrorKind::kNotFound);
  const Layer one = Layer::gzip(make_tar(1, 2, 100));
  registry_test::Image image = make_image({.layers = {one}});
  image.layers.clear();
  serve(image);
  expect_error(ErrorKind::kNotFound, "layer " + one.digest().substr(7, 12));
}

TEST_F(Pull, TakesImagesWithoutLayersAndEmptyLayers) {
  serve(ImageSpec{.layers = {}});
  EXPECT_TRUE(store_.find_image(pull().image.str())->layer_keys.empty());
  serve(ImageSpec{.layers = {Layer{"", ""}, Layer::gzip(Tar())}});
  EXPECT_EQ(store_.find_image(pull().image.str())->layer_keys.size(), 2U);
}

TEST_F(Pull, WarnsOfAnotherArchitecture) {
  const std::string other = oci::Platform::of_host().architecture == "arm64" ? "amd64" : "arm64";
  serve(ImageSpec{.layers = {Layer::gzip(make_tar(1, 2, 100))}, .architecture = other});
  EXPECT_THAT(pull().warning, HasSubstr("does not match the"));
}

TEST_F(Pull, AsksForSpaceBeforeItTransfers) {
  const Layer one = Layer::gzip(make_tar(1, 2, 100));
  serve(make_image({.layers = {one}}, {},
                   [](Json& manifest) { manifest["layers"][0]["size"] = 1ULL << 60U; }));
  expect_error(ErrorKind::kNoSpace, "no space left on device: at least 1.153EB needed");
  EXPECT_EQ(requests_for(one.digest()), 0);
}

TEST_F(Pull, TwoProcessesShareOneDownload) {
  const Layer one = Layer::gzip(make_tar(1, 60, 20'000)), two = Layer::gzip(make_tar(2, 40, 5000));
  serve(make_image({.layers = {one, two}}), {{{"path", "/blobs/" + one.digest()},
                                              {"action", "drip"},
                                              {"size", 200'000},
                                              {"pause", 0.02}}});
  std::vector<std::jthread> threads;
  std::vector<std::string> failures(6);
  for (std::string& failure : failures) {
    threads.emplace_back([this, &failure] {
      failure = storage_test::error_of([&] {
                  Store store(root_.path() / "store");
                  engine::RegistryProcess registry(registry_program());
                  engine::pull(store, registry.client(), registry_test::reference_to(fake_),
                               options(), {});
                }).second;
    });
  }
  threads.clear();
  for (const std::string& failure : failures) EXPECT_EQ(failure, "no error");
  EXPECT_EQ(requests_for(one.digest()), 1);
  EXPECT_EQ(requests_for(two.digest()), 1);
  EXPECT_EQ(storage_test::names_in(layer_dir(0)).size(), 65U);
  EXPECT_TRUE(fs::is_empty(store_.staging_dir()));
}

TEST_F(Pull, ALayerThatDependsOnThoseBelowHasADirectoryForEachStack) {
  const Layer strict = Layer::gzip(Tar().dir("./").dir("d/", 0700).file("d/target", "1"));
  const Layer usual = Layer::gzip(Tar().dir("./").dir("d/", 0755).file("d/target", "2"));
  const Layer implied = Layer::gzip(Tar().dir("./").file("d/new", "3"));
  const Layer linked = Layer::gzip(Tar().dir("./").hard_link("link", "d/target"));
  serve(ImageSpec{.layers = {strict, implied, linked}});
  pull();
  EXPECT_EQ(storage_test::status_of(layer_dir(1) / "d").st_mode & 07777U, 0700U);
  EXPECT_EQ(content(layer_dir(2) / "link"), "1");
  EXPECT_NE(store_.find_image(name())->layer_keys.at(1), implied.diff_id().substr(7));
  serve(ImageSpec{.layers = {usual, implied, linked}});
  pull();
  EXPECT_EQ(requests_for(implied.digest()), 0);
  EXPECT_EQ(storage_test::status_of(layer_dir(1) / "d").st_mode & 07777U, 0755U);
  EXPECT_EQ(content(layer_dir(1) / "d/new"), "3");
  EXPECT_EQ(content(layer_dir(2) / "link"), "2");
  EXPECT_EQ(store_.find_image(name())->layer_keys.at(1), implied.diff_id().substr(7));
  EXPECT_FALSE(pull().changed);
}

}  // namespace
}  // namespace engine_test
