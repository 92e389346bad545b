#include "base/gzip.h"

#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <string_view>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/files.h"

namespace base {
namespace {

constexpr std::size_t kBlock = 64U << 10U;
constexpr int kGzip = 16;    // added to the window's size: zlib.h, deflateInit2
constexpr int kMemory = 8;   // zlib's default
constexpr int kFastest = 1;  // logs shrink to a tenth even so

struct Buffers {
  std::array<Bytef, kBlock> in, out;
};

uInt read_block(int fd, Buffers& buffers) {
  for (;;) {
    const ssize_t count = read(fd, buffers.in.data(), buffers.in.size());
    if (count < 0 && errno == EINTR) continue;
    check(count, "read");
    return static_cast<uInt>(count);
  }
}

void write_block(int fd, const Buffers& buffers, const z_stream& stream) {
  write_all(fd, {reinterpret_cast<const char*>(buffers.out.data()),
                 buffers.out.size() - stream.avail_out});
}

void deflate_block(z_stream& stream, Buffers& buffers, int out, int flush) {
  do {
    stream.next_out = buffers.out.data();
    stream.avail_out = static_cast<uInt>(buffers.out.size());
    deflate(&stream, flush);
    write_block(out, buffers, stream);
  } while (stream.avail_out == 0);
}

}  // namespace

void compress_gzip(int in, int out) {
  const auto buffers = std::make_unique<Buffers>();
  z_stream stream = {};
  if (deflateInit2(&stream, kFastest, Z_DEFLATED, MAX_WBITS + kGzip, kMemory, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, deflateEnd);
  while ((stream.avail_in = read_block(in, *buffers)) > 0) {
    stream.next_in = buffers->in.data();
    deflate_block(stream, *buffers, out, Z_NO_FLUSH);
  }
  deflate_block(stream, *buffers, out, Z_FINISH);
}

void inflate_gzip(int in, int out) {
  const auto buffers = std::make_unique<Buffers>();
  z_stream stream = {};
  if (inflateInit2(&stream, MAX_WBITS + kGzip) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    stream.avail_in = read_block(in, *buffers);
    stream.next_in = buffers->in.data();
    if (stream.avail_in == 0) throw Error(ErrorKind::kCorrupt, "gzip: cut short");
    do {
      stream.next_out = buffers->out.data();
      stream.avail_out = static_cast<uInt>(buffers->out.size());
      state = inflate(&stream, Z_NO_FLUSH);
      if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) {
        throw Error(ErrorKind::kCorrupt, "gzip: damaged");
      }
      write_block(out, *buffers, stream);
    } while (stream.avail_out == 0 && state != Z_STREAM_END);
  }
}

}  // namespace base
