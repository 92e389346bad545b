// FileSink: what comes from a registry or a web server, into a file of ours.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "registry/remote/remote_client.h"

namespace engine {

class FileSink : public registry::RemoteBlobSink {
 public:
  // `fd` is lent, empty and open for writing.
  explicit FileSink(int fd);

  std::span<char> space() final { return buffer_; }
  void produce(std::size_t size) final;
  void restart() final;

 private:
  // For who wants to know what is written; `bytes` are the next of the file, or its first after
  // begun_anew().
  virtual void wrote(std::span<const char> bytes) = 0;
  virtual void begun_anew() = 0;

  int fd_;
  std::vector<char> buffer_;
};

}  // namespace engine
