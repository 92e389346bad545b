// Blobs on their way into the store: kept, gone on with by the next pull, never believed.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/image/puller.h"
#include "tests/engine/pull_support.h"

namespace engine_test {
namespace {

namespace fs = std::filesystem;
using storage::Store;

class PullBlobs : public testing::Test {
 protected:
  void serve(std::vector<Json> faults = {}) {
    Json spec = registry_test::faults(std::move(faults));
    spec["repositories"]["a"] = make_image({.layers = {layer_}}).as_repository();
    fake_.set(spec);
  }

  engine::PullResult pull() {
    engine::RegistryProcess registry(registry_program());
    return engine::pull(*store_, registry.client(), registry_test::reference_to(fake_), options_,
                        {});
  }

  // The Range header of each request for the layer; "-" where it had none.
  std::vector<std::string> ranges() {
    std::vector<std::string> list;
    for (const Json& request : fake_.requests("main")) {
      if (request.at("path").get<std::string>().find(layer_.digest()) == std::string::npos)
        continue;
      list.push_back(request.at("headers").value("range", "-"));
    }
    return list;
  }

  oci::Digest digest() const { return oci::Digest::parse(layer_.digest()); }
  fs::path kept() const { return store_->blob_path(digest()); }
  fs::path partial() const { return store_->partial_path(digest()); }

  static void write(const fs::path& path, const std::string& bytes) {
    base::write_file(path, bytes, 0600);
  }

  void expect_pulled() {
    const auto row = store_->find_image(fake_.host() + "/a");
    ASSERT_TRUE(row);
    EXPECT_EQ(storage_test::names_in(store_->layer_dir(row->layer_keys.at(0))).size(), 45U);
    EXPECT_FALSE(fs::exists(partial()));
    EXPECT_TRUE(fs::is_empty(store_->staging_dir()));
  }

  const Layer layer_ = Layer::gzip(make_tar(3, 40, 20'000));
  FakeRegistry& fake_ = FakeRegistry::shared();
  TempDir root_;
  std::optional<Store> store_{std::in_place, root_.path() / "store"};
  engine::PullOptions options_{.platform = oci::Platform::of_host()};
};

TEST_F(PullBlobs, AreKeptAsServed) {
  serve();
  pull();
  expect_pulled();
  EXPECT_EQ(base::read_file(kept()), layer_.blob);
  const auto row = store_->find_blob(digest());
  ASSERT_TRUE(row);
  EXPECT_TRUE(row->kept);
  EXPECT_EQ(row->size, layer_.blob.size());
  EXPECT_EQ(row->origin, fake_.host() + "/a");
}

TEST_F(PullBlobs, AreNotKeptWhereNobodyWantsThem) {
  serve();
  options_.keep_blobs = false;
  pull();
  expect_pulled();
  EXPECT_FALSE(fs::exists(kept()));
  EXPECT_EQ(store_->find_layer_of_blob(digest())->str(), layer_.diff_id());
}

TEST_F(PullBlobs, TheNextPullGoesOnWhereThisOneStopped) {
  serve({{{"path", "/blobs/" + layer_.digest()}, {"action", "truncate"}, {"after", 300'000}},
         {{"path", "/blobs/" + layer_.digest()},
          {"action", "status"},
          {"status", 404},
          {"skip", 1}}});
  EXPECT_ANY_THROW(pull());
  ASSERT_TRUE(fs::exists(partial()));
  const std::uint64_t have = fs::file_size(partial());
  EXPECT_GT(have, 100'000U);
  EXPECT_EQ(base::read_file(partial()), layer_.blob.substr(0, have));
  serve();
  pull();
  expect_pulled();
  EXPECT_EQ(ranges(), std::vector<std::string>{"bytes=" + std::to_string(have) + "-"});
}

TEST_F(PullBlobs, AWholePartialBlobNeedsNoNetwork) {
  write(partial(), layer_.blob);
  serve();
  pull();
  expect_pulled();
  EXPECT_TRUE(ranges().empty());
}

TEST_F(PullBlobs, AWrongBeginningIsThrownAwayOnce) {
  for (const std::string& wrong :
       {std::string(5000, 'x'), layer_.blob.substr(0, 9999) + "?", layer_.blob + "longer"}) {
    store_.emplace(root_.path() / ("store" + std::to_string(wrong.size())));
    write(partial(), wrong);
    serve();
    pull();
    expect_pulled();
    EXPECT_EQ(ranges().back(), "-");
    EXPECT_LE(ranges().size(), 2U);
    EXPECT_EQ(base::read_file(kept()), layer_.blob);
  }
}

TEST_F(PullBlobs, AKeptBlobCostsNoNetwork) {
  write(kept(), layer_.blob);
  serve();
  pull();
  expect_pulled();
  EXPECT_TRUE(ranges().empty());
  EXPECT_TRUE(fs::exists(kept()));
}

TEST_F(PullBlobs, ADamagedKeptBlobIsFetchedAgain) {
  for (const std::string& wrong :
       {std::string("short"), layer_.blob.substr(0, 7000), std::string(layer_.blob.size(), 'x')}) {
    store_.emplace(root_.path() / ("store" + std::to_string(wrong.size())));
    write(kept(), wrong);
    serve();
    pull();
    expect_pulled();
    EXPECT_EQ(ranges().size(), 1U);
    EXPECT_EQ(base::read_file(kept()), layer_.blob);
  }
}

TEST_F(PullBlobs, WhatBreaksALimitLeavesNothing) {
  const auto attempt = [&] {
    serve();
    const auto [kind, text] = storage_test::error_of([&] { pull(); });
    EXPECT_EQ(kind, base::ErrorKind::kInvalid);
    EXPECT_FALSE(fs::exists(partial()));
    EXPECT_FALSE(fs::exists(kept()));
    EXPECT_TRUE(fs::is_empty(store_->staging_dir()));
    return text;
  };
  options_.limits.layer_bytes = 100'000;
  EXPECT_THAT(attempt(), testing::HasSubstr("larger than 100000 bytes"));
  options_.limits = {};
  options_.limits.entries = 7;
  EXPECT_THAT(attempt(), testing::HasSubstr("more than 7 entries"));
}

}  // namespace
}  // namespace engine_test
