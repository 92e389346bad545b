#include "cli/image_fields.h"

#include <gtest/gtest.h>

#include "oci/reference.h"

namespace {

using storage::ImageLine;

constexpr base::Nanoseconds kHour = 3600LL * 1'000'000'000;

std::string id(char digit) { return std::string(64, digit); }

std::string table(const std::vector<ImageLine>& lines, cli::ImageIds ids) {
  cli::Listing listing("", {"Repository", "Tag", "ID", "CreatedSince", "Size"},
                       cli::image_headers());
  for (const ImageLine& line : lines) {
    listing.add_fields(
        [&](const std::string& name) { return cli::image_field(name, line, 3 * kHour, ids); });
  }
  return listing.render();
}

TEST(ImageFields, AreDockersTable) {
  const std::vector<ImageLine> lines = {
      {.id = id('a'), .repository = "docker.io/library/alpine", .tag = "3.19", .size = 7'800'000},
      {.id = id('b'), .repository = "docker.io/someone/tool", .tag = "", .size = 12},
      {.id = id('c'), .size = 1}};
  EXPECT_EQ(table(lines, cli::ImageIds::kShort),
            "REPOSITORY     TAG       IMAGE ID       CREATED       SIZE\n"
            "alpine         3.19      aaaaaaaaaaaa   3 hours ago   7.8MB\n"
            "someone/tool   <none>    bbbbbbbbbbbb   3 hours ago   12B\n"
            "<none>         <none>    cccccccccccc   3 hours ago   1B\n");
  EXPECT_NE(table(lines, cli::ImageIds::kFull).find("sha256:" + id('a')), std::string::npos);
}

TEST(ImageFields, HaveAHeaderEach) {
  const ImageLine line = {.id = id('a'), .digest = id('d'), .size = 5};
  std::string shown;
  for (const auto& [name, header] : cli::image_headers()) {
    shown += name + "=" + cli::image_field(name, line, kHour, cli::ImageIds::kShort) + "\n";
  }
  EXPECT_EQ(shown,
            "Containers=N/A\nCreatedAt=0001-01-01T00:00:00Z\nCreatedSince=About an hour ago\n"
            "Digest=sha256:" +
                id('d') +
                "\nID=aaaaaaaaaaaa\nRepository=<none>\nSharedSize=N/A\nSize=5B\nTag=<none>\n"
                "UniqueSize=N/A\nVirtualSize=5B\n");
}

TEST(ImageFields, ShortenNamesAsReferencesDo) {
  for (const std::string& repository :
       {std::string("docker.io/library/alpine"), "docker.io/library/" + id('a'),
        std::string("docker.io/a/b"), std::string("docker.io/library/a/b"),
        std::string("localhost:5000/x"), std::string("docker.io/localhost/x"),
        std::string("quay.io/library/x")}) {
    EXPECT_EQ(cli::shown_repository({.id = id('a'), .repository = repository}),
              oci::Reference::parse(repository).familiar_repository());
  }
}

}  // namespace
