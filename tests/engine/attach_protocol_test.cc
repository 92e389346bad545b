#include "engine/attach_protocol.h"

#include <gtest/gtest.h>

namespace engine {
namespace {

TEST(Frames, ComeOutWholeHoweverTheyAreCut) {
  const std::string stream = render_frame(FrameType::kStdout, "hello") +
                             render_frame(FrameType::kExit, render_number(137, 4)) +
                             render_frame(FrameType::kStdinClosed, "");
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    FrameReader reader;
    std::vector<std::pair<FrameType, std::string>> frames;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.add(std::string_view(stream).substr(at, step));
      FrameReader::Frame frame{};
      while (reader.next(frame)) frames.emplace_back(frame.type, frame.payload);
    }
    ASSERT_EQ(frames.size(), 3U) << step;
    EXPECT_EQ(frames[0].second, "hello");
    EXPECT_EQ(parse_number(frames[1].second), 137U);
    EXPECT_EQ(frames[2].first, FrameType::kStdinClosed);
  }
}

TEST(Frames, AnOversizedOneIsRefusedBeforeItIsKept) {
  FrameReader reader;
  reader.add(std::string(1, '\x03') + render_number(kMaxFrame + 1, 4));
  FrameReader::Frame frame{};
  EXPECT_THROW(reader.next(frame), base::Error);
}

TEST(Frames, CarryErrorsWhole) {
  const base::Error error(base::ErrorKind::kCommandNotFound, "exec: no such file", 2);
  const base::Error read = parse_error(render_error(error));
  EXPECT_EQ(read.kind(), error.kind());
  EXPECT_EQ(read.errno_value(), 2);
  EXPECT_STREQ(read.what(), error.what());
  EXPECT_EQ(parse_error("").kind(), base::ErrorKind::kSystem);
}

TEST(Frames, CarryTraces) {
  std::string seen;
  base::set_trace_sink([&](const base::TraceEvent& event) {
    seen = std::string(event.room) + "|" + std::string(event.text) + "|" +
           std::to_string(event.duration);
  });
  pass_on_trace(render_trace({.room = "runtime", .text = "mount", .duration = 1234}));
  EXPECT_EQ(seen, "runtime|mount|1234");
  pass_on_trace(render_trace({.room = "runtime", .text = "", .duration = -1}));
  EXPECT_EQ(seen, "runtime||-1");
  seen.clear();
  pass_on_trace("short");
  pass_on_trace(std::string(8, '\0') + "\xff" + "x");
  EXPECT_EQ(seen, "");
  base::set_trace_sink({});
}

}  // namespace
}  // namespace engine
