#include "engine/image/url_file.h"

#include <span>
#include <unistd.h>

#include "base/error.h"
#include "engine/image/archive_files.h"
#include "engine/image/file_sink.h"

namespace engine {
namespace {

class CountingSink : public FileSink {
 public:
  CountingSink(int fd, const std::function<void(std::uint64_t)>& on_progress)
      : FileSink(fd), on_progress_(on_progress) {}

 private:
  void wrote(std::span<const char> bytes) override {
    size_ += bytes.size();
    on_progress_(size_);
  }
  void begun_anew() override { size_ = 0; }

  const std::function<void(std::uint64_t)>& on_progress_;
  std::uint64_t size_ = 0;
};

}  // namespace

base::UniqueFd fetch_url_file(registry::RemoteClient& client, const std::string& address,
                              const UrlFileOptions& options,
                              const std::function<void(std::uint64_t)>& on_progress) {
  base::UniqueFd file = make_nameless_file(options.folder);
  CountingSink sink(file.get(), on_progress);
  client.fetch_url(address, options.limit, sink);
  base::check(lseek(file.get(), 0, SEEK_SET), "lseek");
  return file;
}

}  // namespace engine
