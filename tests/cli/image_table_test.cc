#include "cli/image_table.h"

#include <gtest/gtest.h>

#include "oci/reference.h"

namespace {

constexpr base::Nanoseconds kHour = 3600LL * 1'000'000'000;

std::string id(char digit) { return std::string(64, digit); }

TEST(ImageTable, IsDockersTable) {
  const std::vector<storage::ImageLine> lines = {
      {.id = id('a'), .repository = "docker.io/library/alpine", .tag = "3.19", .size = 7'800'000},
      {.id = id('b'), .repository = "docker.io/someone/tool", .tag = "", .size = 12},
      {.id = id('c'), .size = 1}};
  EXPECT_EQ(cli::render_image_table(lines, 3 * kHour, cli::ImageIds::kShort),
            "REPOSITORY     TAG       IMAGE ID       CREATED       SIZE\n"
            "alpine         3.19      aaaaaaaaaaaa   3 hours ago   7.8MB\n"
            "someone/tool   <none>    bbbbbbbbbbbb   3 hours ago   12B\n"
            "<none>         <none>    cccccccccccc   3 hours ago   1B\n");
  EXPECT_EQ(cli::render_image_ids({lines[0], lines[0], lines[1]}, cli::ImageIds::kFull),
            "sha256:" + id('a') + "\nsha256:" + id('b') + "\n");
}

TEST(ImageTable, ShortensNamesAsReferencesDo) {
  for (const std::string& repository :
       {std::string("docker.io/library/alpine"), "docker.io/library/" + id('a'),
        std::string("docker.io/a/b"), std::string("docker.io/library/a/b"),
        std::string("localhost:5000/x"), std::string("docker.io/localhost/x"),
        std::string("quay.io/library/x")}) {
    const std::string table =
        cli::render_image_table({{.id = id('a'), .repository = repository}}, 0, {});
    const std::string line = table.substr(table.find('\n') + 1);
    EXPECT_EQ(line.substr(0, line.find(' ')),
              oci::Reference::parse(repository).familiar_repository());
  }
}

}  // namespace
