#include "engine/image/url_file.h"

#include <span>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "engine/image/archive_files.h"

namespace engine {
namespace {

constexpr std::size_t kUrlBufferBytes = 256U << 10U;

class FileSink : public registry::RemoteBlobSink {
 public:
  FileSink(int fd, const std::function<void(std::uint64_t)>& on_progress)
      : fd_(fd), on_progress_(on_progress), buffer_(kUrlBufferBytes) {}

  std::span<char> space() override { return buffer_; }
  void produce(std::size_t size) override {
    base::write_all(fd_, std::string_view(buffer_.data(), size));
    size_ += size;
    on_progress_(size_);
  }
  void restart() override {
    base::check(ftruncate(fd_, 0), "ftruncate");
    base::check(lseek(fd_, 0, SEEK_SET), "lseek");
    size_ = 0;
  }

 private:
  int fd_;
  const std::function<void(std::uint64_t)>& on_progress_;
  std::vector<char> buffer_;
  std::uint64_t size_ = 0;
};

}  // namespace

base::UniqueFd fetch_url_file(registry::RemoteClient& client, const std::string& address,
                              const UrlFileOptions& options,
                              const std::function<void(std::uint64_t)>& on_progress) {
  base::UniqueFd file = make_nameless_file(options.folder);
  FileSink sink(file.get(), on_progress);
  client.fetch_url(address, options.limit, sink);
  base::check(lseek(file.get(), 0, SEEK_SET), "lseek");
  return file;
}

}  // namespace engine
