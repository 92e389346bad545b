#include "engine/image/file_sink.h"

#include <string_view>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

constexpr std::size_t kSinkBufferBytes = 256U << 10U;

}  // namespace

FileSink::FileSink(int fd) : fd_(fd), buffer_(kSinkBufferBytes) {}

void FileSink::produce(std::size_t size) {
  base::write_all(fd_, std::string_view(buffer_.data(), size));
  wrote(std::span(buffer_).first(size));
}

void FileSink::restart() {
  base::check(ftruncate(fd_, 0), "ftruncate");
  base::check(lseek(fd_, 0, SEEK_SET), "lseek");
  begun_anew();
}

}  // namespace engine
