// FileBody: a file's bytes as the body of a request.
#pragma once

#include "registry/http.h"

namespace registry {

class FileBody : public BodySource {
 public:
  // `fd` is borrowed; its offset is left alone.
  FileBody(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  std::uint64_t size() const override { return size_; }
  std::size_t read(std::uint64_t offset, char* buffer, std::size_t size) override;

 private:
  int fd_;
  std::uint64_t size_;
};

}  // namespace registry
