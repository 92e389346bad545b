// Text to compress and gzip streams of it, made by zlib in every way it knows.
#pragma once

#include <random>
#include <string>
#include <vector>
#include <zlib.h>

#include <gtest/gtest.h>

#include "storage/pack/deflate/record_search.h"

namespace storage_test {

// Compresses to a third, with matches far and near, so that levels differ.
inline std::string prose(std::size_t size) {
  std::mt19937 random(7);
  std::vector<std::string> words;
  for (int i = 0; i < 3000; ++i) {
    std::string word;
    for (auto n = 2 + random() % 9; n > 0; --n) {
      word += static_cast<char>('a' + random() % 26);
    }
    words.push_back(word);
  }
  std::string text;
  while (text.size() < size) text += words[std::min(random() % 3000, random() % 3000)] + " ";
  return text;
}

inline std::string noise(std::size_t size) {
  std::mt19937 random(8);
  std::string bytes;
  while (bytes.size() < size) bytes += static_cast<char>(random() & 0xFFU);
  return bytes;
}

// What encoders do differently: text, what can't be compressed, what compresses to nothing, and
// repetitions further away than a window, across the sizes at which they cut.
inline std::string varied_text() {
  const std::string text = prose(1'250'000);
  return text + noise(150'000) + std::string(100'000, '\0') + text.substr(400'000, 300'000) +
         noise(40'000) + "end";
}

struct ZlibOptions {
  int level = 6, strategy = Z_DEFAULT_STRATEGY;
  std::size_t flush_every = 0;
};

inline std::string zlib_stream(const std::string& bytes, const ZlibOptions& options = {}) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, options.level, Z_DEFLATED, 31, 8, options.strategy), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 4096, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  const std::size_t step = options.flush_every == 0 ? bytes.size() : options.flush_every;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    stream.avail_in = static_cast<uInt>(std::min(step, bytes.size() - at));
    EXPECT_EQ(deflate(&stream, options.flush_every == 0 ? Z_NO_FLUSH : Z_SYNC_FLUSH), Z_OK);
  }
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Reads in small pieces, so that each buffer's end is met.
inline storage::BitReader::Source read_string(const std::string& bytes) {
  return [&bytes, at = std::size_t{0}](char* buffer, std::size_t size) mutable {
    const std::size_t count = bytes.copy(buffer, std::min<std::size_t>(size, 1000), at);
    at += count;
    return count;
  };
}

}  // namespace storage_test
