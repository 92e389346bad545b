#include "storage/unpack/file_writers.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace storage {
namespace {

// For the message only: the tree is below a staging directory whose name means nothing to users.
std::string name_of(int fd) {
  std::string link(4096, '\0');
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(path.c_str(), link.data(), link.size());
  if (size < 0) return "file";
  link.resize(static_cast<std::size_t>(size));
  return base::printable(link.substr(link.rfind('/') + 1));
}

void write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    base::check(count, "write");
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

// One piece of data, or the end of a file, or both.
struct Step {
  int fd = -1;
  std::uint64_t offset = 0;
  std::size_t start = 0, size = 0;  // in the batch's bytes
  base::UniqueFd finished;          // set: the file ends here
  bool ends_in_hole = false;
  std::uint64_t file_size = 0;
  Attributes attributes;
};

void apply(const Step& step, const char* bytes) {
  try {
    write_at(step.fd, {bytes + step.start, step.size}, step.offset);
    if (!step.finished) return;
    if (step.ends_in_hole) {
      base::check(ftruncate(step.fd, static_cast<off_t>(step.file_size)), "set size");
    }
    apply_attributes(step.fd, step.attributes);
  } catch (const base::Error& error) {
    throw base::with_context(name_of(step.fd), error);
  }
}

}  // namespace

struct FileWriters::Batch {
  std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kBatchBytes);
  std::size_t used = 0, files = 0;
  std::vector<Step> steps;
};

struct FileWriters::Writer {
  std::condition_variable work_came;
  std::deque<std::unique_ptr<Batch>> queue;
  std::size_t pending = 0;  // queued and in work
  std::thread thread;
};

FileWriters::FileWriters(unsigned threads, std::function<void(std::exception_ptr)> on_failure)
    : on_failure_(std::move(on_failure)), batches_(2 * static_cast<std::size_t>(threads) + 1) {
  for (std::size_t i = 0; i < batches_; ++i) free_.push_back(std::make_unique<Batch>());
  for (unsigned i = 0; i < threads; ++i) {
    writers_.push_back(std::make_unique<Writer>());
    Writer& writer = *writers_.back();
    writer.thread = std::thread([this, &writer] { run(writer); });
  }
}

FileWriters::~FileWriters() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    failed_ = true;  // what is still queued is not worth writing
    for (const auto& writer : writers_) writer->work_came.notify_all();
  }
  for (const auto& writer : writers_) writer->thread.join();
}

void FileWriters::prepare_batch() {
  if (batch_) return;
  std::unique_lock lock(mutex_);
  batch_freed_.wait(lock, [&] { return !free_.empty(); });
  batch_ = std::move(free_.back());
  free_.pop_back();
  if (writer_ != nullptr && file_) return;  // the rest of a file follows its beginning
  writer_ = std::min_element(writers_.begin(), writers_.end(), [](const auto& a, const auto& b) {
              return a->pending < b->pending;
            })->get();
}

void FileWriters::submit() {
  const std::lock_guard lock(mutex_);
  writer_->queue.push_back(std::move(batch_));
  ++writer_->pending;
  writer_->work_came.notify_one();
}

void FileWriters::begin(base::UniqueFd fd) {
  if (batch_ && batch_->files == kBatchFiles) submit();
  prepare_batch();
  file_ = std::move(fd);
  written_end_ = 0;
  ++batch_->files;
}

void FileWriters::write(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    if (batch_ && batch_->used == kBatchBytes) submit();
    prepare_batch();
    const std::size_t count = std::min(bytes.size(), kBatchBytes - batch_->used);
    std::copy_n(bytes.data(), count, batch_->bytes.get() + batch_->used);
    Step step;
    step.fd = file_.get();
    step.offset = offset;
    step.start = batch_->used;
    step.size = count;
    // Pieces of a tar are as small as its blocks: neighbours become one write.
    if (!batch_->steps.empty() && batch_->steps.back().fd == step.fd &&
        !batch_->steps.back().finished &&
        batch_->steps.back().offset + batch_->steps.back().size == offset) {
      batch_->steps.back().size += count;
    } else {
      batch_->steps.push_back(std::move(step));
    }
    batch_->used += count;
    offset += count;
    bytes.remove_prefix(count);
    written_end_ = offset;
  }
}

void FileWriters::end(std::uint64_t size, Attributes attributes) {
  prepare_batch();
  if (batch_->steps.empty() || batch_->steps.back().fd != file_.get() ||
      batch_->steps.back().finished) {
    Step step;
    step.fd = file_.get();
    step.offset = written_end_;
    batch_->steps.push_back(std::move(step));
  }
  Step& last = batch_->steps.back();
  last.ends_in_hole = written_end_ < size;
  last.file_size = size;
  last.attributes = std::move(attributes);
  last.finished = std::move(file_);
}

void FileWriters::finish() {
  if (batch_) submit();
  std::unique_lock lock(mutex_);
  batch_freed_.wait(lock, [&] { return free_.size() == batches_; });
}

void FileWriters::run(Writer& writer) {
  for (;;) {
    std::unique_ptr<Batch> batch;
    bool skip = false;
    {
      std::unique_lock lock(mutex_);
      writer.work_came.wait(lock, [&] { return stopping_ || !writer.queue.empty(); });
      if (writer.queue.empty()) return;
      batch = std::move(writer.queue.front());
      writer.queue.pop_front();
      skip = failed_;
    }
    try {
      for (const Step& step : batch->steps) {
        if (!skip) apply(step, batch->bytes.get());
      }
    } catch (...) {
      fail(std::current_exception());
    }
    batch->steps.clear();
    batch->used = batch->files = 0;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(batch));
    --writer.pending;
    batch_freed_.notify_one();
  }
}

void FileWriters::fail(std::exception_ptr failure) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(failed_, true)) return;
  }
  on_failure_(std::move(failure));
}

}  // namespace storage
