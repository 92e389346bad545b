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

TEST(Listing, TextsAndFieldsAloneNeedNoDocumentOfARow) {
  const auto fields = [](const std::string& name) { return "<" + name + ">"; };
  for (const auto& [format, expected] :
       {std::pair{"", "CONTAINER ID   NAMES\n<ID>           <Names>\n"},
        std::pair{"table {{.Names}}\\t{{.ID}}", "NAMES     CONTAINER ID\n<Names>   <ID>\n"},
        std::pair{"{{.ID}}:\\t{{.Names}}", "<ID>:\t<Names>\n"}}) {
    cli::Listing listing(format, {"ID", "Names"}, {{"ID", "CONTAINER ID"}, {"Names", "NAMES"}});
    ASSERT_TRUE(listing.is_simple()) << format;
    listing.add_fields(fields);
    EXPECT_EQ(listing.render(), expected);
  }
}

TEST(Listing, RowsOfTextsAloneNeedNoDocumentForJson) {
  const std::map<std::string, std::string> texts = {
      {"ID", "1"}, {"Names", "\"a\"\n\x01<&>\xff\xc3\xa4"}, {"Empty", ""}};
  cli::Listing quick("json", {}, {});
  EXPECT_FALSE(quick.is_simple());
  quick.expect_texts({"Names", "ID", "Empty"});
  ASSERT_TRUE(quick.is_simple());
  quick.add_fields([&](const std::string& name) { return texts.at(name); });
  cli::Listing slow("json", {}, {});
  slow.add(texts);
  EXPECT_EQ(quick.render(), slow.render());
}

TEST(Listing, KnowsWhichFieldsMatter) {
  const auto uses = [](const std::string& format, const std::string& field) {
    return cli::Listing(format, {"ID"}, {{"ID", "ID"}, {"Names", "NAMES"}}).uses(field);
  };
  EXPECT_TRUE(uses("", "ID"));
  EXPECT_FALSE(uses("", "Names"));
  EXPECT_TRUE(uses("json", "Names"));
  EXPECT_TRUE(uses("{{json .}}", "Names"));
  EXPECT_FALSE(uses("{{lower .ID}}", "Names"));
  EXPECT_TRUE(uses("{{if eq .ID \"x\"}}{{upper (.Names)}}{{end}}", "Names"));
  EXPECT_TRUE(uses("{{range .ID}}{{$.Names}}{{end}}", "Names"));
  EXPECT_FALSE(cli::Listing("{{.Nothing}}", {}, {{"ID", "ID"}}).is_simple());
  EXPECT_FALSE(cli::Listing("{{upper .ID}}", {}, {{"ID", "ID"}}).is_simple());
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
