#include "cli/listing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;

std::string list(const std::string& format, const std::vector<json>& rows) {
  cli::Listing listing(format, {"ID", "Names"}, {{"ID", "CONTAINER ID"}, {"Names", "NAMES"}});
  for (const json& row : rows) listing.add(row);
  return listing.render();
}

const std::vector<json> kRows = {{{"ID", "1"}, {"Names", "a"}},
                                 {{"ID", "a-very-long-identifier"}, {"Names", "b"}}};

TEST(Listing, DefaultTableHasHeadersAndAlignedColumns) {
  EXPECT_EQ(list("", kRows),
            "CONTAINER ID             NAMES\n"
            "1                        a\n"
            "a-very-long-identifier   b\n");
}

TEST(Listing, ColumnsAreAtLeastTenWide) {
  cli::Listing listing("table {{.ID}}\\t{{.Names}}", {}, {{"ID", "ID"}, {"Names", "NAMES"}});
  listing.add({{"ID", "1"}, {"Names", "a"}});
  EXPECT_EQ(listing.render(), "ID        NAMES\n1         a\n");
}

TEST(Listing, ATemplateIsOneLineARowWithoutHeaders) {
  EXPECT_EQ(list("{{.ID}}={{.Names}}", kRows), "1=a\na-very-long-identifier=b\n");
}

TEST(Listing, JsonIsOneObjectALine) {
  EXPECT_EQ(list("json", {kRows[0]}), "{\"ID\":\"1\",\"Names\":\"a\"}\n");
  EXPECT_EQ(list("{{json .}}", {kRows[0]}), "{\"ID\":\"1\",\"Names\":\"a\"}\n");
}

TEST(Listing, AnEmptyTableStillHasItsHeaders) { EXPECT_EQ(list("", {}), "CONTAINER ID   NAMES\n"); }

TEST(Listing, ControlCharactersCannotReachTheTerminal) {
  EXPECT_EQ(cli::align_columns({"a\x1b]0;x\x07\tb"}), "a\\x1b]0;x\\x07   b\n");
}

TEST(Ellipsis, CutsAtColumnsNotBytes) {
  EXPECT_EQ(cli::ellipsis("short", 20), "short");
  EXPECT_EQ(cli::ellipsis("0123456789abcdefghijk", 20), "0123456789abcdefghi…");
  EXPECT_EQ(cli::ellipsis("éééé", 3), "éé…");
}

}  // namespace
