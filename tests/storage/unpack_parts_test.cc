// The small parts of unpacking: queues, paths, records.
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "storage/unpack/block_queue.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/layer_record.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;
using storage::EntryName;

TEST(BlockQueue, CarriesBytesInOrderBetweenThreads) {
  storage::BlockQueue queue(3, 64);
  std::string sent, received;
  std::thread producer([&] {
    for (int i = 0; i < 2000; ++i) {
      const std::span<char> block = queue.reserve();
      const std::size_t size = static_cast<std::size_t>(i % 64);
      std::fill_n(block.data(), size, static_cast<char>('a' + i % 26));
      sent.append(block.data(), size);
      queue.commit(size);
    }
    queue.close();
  });
  for (std::string_view block; !(block = queue.front()).empty(); queue.pop()) received += block;
  producer.join();
  EXPECT_EQ(received, sent);
  EXPECT_EQ(queue.front(), "");  // and stays at the end
}

TEST(BlockQueue, AbortWakesBothSides) {
  storage::BlockQueue full(1, 8), empty(1, 8);
  full.reserve();
  full.commit(8);
  std::thread producer([&] { EXPECT_TRUE(full.reserve().empty()); });
  std::thread consumer([&] { EXPECT_TRUE(empty.front().empty()); });
  full.abort();
  empty.abort();
  producer.join();
  consumer.join();
  EXPECT_TRUE(empty.is_aborted());
}

TEST(LayerPath, NormalisesNames) {
  const std::pair<const char*, const char*> kNames[] = {
      {"a/b", "a/b"}, {"/a//b/", "a/b"}, {"./a/./b/.", "a/b"}, {"./", ""},       {"/", ""},
      {"", ""},       {".", ""},         {"a\nb", "a\nb"},     {"\xff", "\xff"}, {"...", "..."},
  };
  for (const auto& [name, wanted] : kNames) {
    EXPECT_EQ(storage::join(storage::parse_layer_path(name)), wanted) << name;
  }
}

TEST(LayerPath, RefusesWhatNoLayerMayHave) {
  const std::string deep = [] {
    std::string text;
    for (int i = 0; i < 513; ++i) text += "d/";
    return text;
  }();
  for (const std::string& name : {std::string(".."), std::string("../a"), std::string("a/.."),
                                  std::string("a/../../b"), std::string(256, 'x'), deep}) {
    EXPECT_EQ(error_of([&] { storage::parse_layer_path(name); }).first, ErrorKind::kInvalid)
        << name;
  }
  EXPECT_EQ(storage::parse_layer_path(std::string(255, 'x')).size(), 1U);
  EXPECT_EQ(storage::parse_layer_path(deep.substr(2)).size(), 512U);
}

TEST(LayerPath, KnowsWhiteouts) {
  using Kind = EntryName::Kind;
  EXPECT_EQ(storage::classify_name("a").kind, Kind::kPlain);
  EXPECT_EQ(storage::classify_name(".wh").kind, Kind::kPlain);
  EXPECT_EQ(storage::classify_name(".wh.a").kind, Kind::kWhiteout);
  EXPECT_EQ(storage::classify_name(".wh.a").name, "a");
  EXPECT_EQ(storage::classify_name(".wh..a").name, ".a");
  EXPECT_EQ(storage::classify_name(".wh..wh..opq").kind, Kind::kOpaque);
  EXPECT_EQ(storage::classify_name(".wh..wh.plnk").kind, Kind::kIgnored);
  EXPECT_EQ(storage::classify_name(".wh..wh.aufs").kind, Kind::kIgnored);
  for (const char* name : {".wh.", ".wh..", ".wh..."}) {
    EXPECT_EQ(error_of([&] { storage::classify_name(name); }).first, ErrorKind::kInvalid) << name;
  }
  EXPECT_TRUE(storage::is_below_whiteout_name(storage::parse_layer_path("a/.wh.b/c")));
  EXPECT_FALSE(storage::is_below_whiteout_name(storage::parse_layer_path("a/.wh.b")));
}

TEST(LayerRecord, SurvivesWritingAndReading) {
  const storage::LayerRecord record = {.implied = {"", "usr", "usr/share\nx"},
                                       .links = {{"a/b", "c d"}},
                                       .root_opaque = true,
                                       .deleting = {"", "x"},
                                       .own_times = {{"usr", {-1, 999'999'999}}, {"x", {}}}};
  EXPECT_EQ(storage::parse_record(storage::render_record(record)), record);
  EXPECT_TRUE(storage::parse_record(storage::render_record({})).empty());
  const std::string text = storage::render_record(record);
  for (std::size_t size = 0; size < text.size() - 2; size += 3) {
    if (text[size == 0 ? 0 : size - 1] == '\0') continue;
    EXPECT_EQ(error_of([&] { storage::parse_record(text.substr(0, size)); }).first,
              ErrorKind::kCorrupt);
  }
}

}  // namespace
}  // namespace storage_test
