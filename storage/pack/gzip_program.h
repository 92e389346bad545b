// GzipProgram: gzip(1) as a Compressor.
#pragma once

#include "base/unique_fd.h"
#include "storage/pack/compressor.h"

namespace storage {

// Gives the stream without its header of ten bytes. The program is ended with the object.
class GzipProgram : public Compressor {
 public:
  GzipProgram(int level, Sink sink);
  GzipProgram(const GzipProgram&) = delete;
  GzipProgram& operator=(const GzipProgram&) = delete;
  ~GzipProgram() override;

  void write(std::string_view bytes) override;
  void finish() override;

 private:
  bool take_output();  // false: at its end

  Sink sink_;
  base::UniqueFd input_, output_;
  int pid_ = -1;
  std::size_t header_left_ = 10;
};

}  // namespace storage
