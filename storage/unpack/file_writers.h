// FileWriters: threads that fill files which the parser has already created, so that names come
// into being in order while nobody waits for their bytes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "storage/unpack/attributes.h"

namespace storage {

// begin, write and end are called by one thread. All bytes of a file go to one writer, in order,
// and its attributes after them; two files may go to two. Memory: kBatches times kBatchBytes.
class FileWriters {
 public:
  static constexpr std::size_t kBatchBytes = 256U << 10U;
  static constexpr std::size_t kBatchFiles = 16;  // open at the same time, for each batch

  // `on_failure` is called once, on a writer's thread, when something could not be written; what
  // is given afterwards is dropped.
  FileWriters(unsigned threads, std::function<void(std::exception_ptr)> on_failure);
  FileWriters(const FileWriters&) = delete;
  FileWriters& operator=(const FileWriters&) = delete;
  ~FileWriters();  // abandons what is not yet written

  void begin(base::UniqueFd fd);
  void write(std::uint64_t offset, std::string_view bytes);
  void end(std::uint64_t size, Attributes attributes);
  void finish();  // waits until everything is on the files

 private:
  struct Batch;
  struct Writer;
  void prepare_batch();
  void submit();
  void run(Writer& writer);
  void fail(std::exception_ptr failure);

  std::function<void(std::exception_ptr)> on_failure_;
  std::mutex mutex_;
  std::condition_variable batch_freed_;
  std::vector<std::unique_ptr<Batch>> free_;
  std::vector<std::unique_ptr<Writer>> writers_;
  bool stopping_ = false, failed_ = false;

  // The parser's side.
  std::size_t batches_ = 0;
  std::unique_ptr<Batch> batch_;
  Writer* writer_ = nullptr;  // of the batch being filled
  base::UniqueFd file_;
  std::uint64_t written_end_ = 0;
};

}  // namespace storage
