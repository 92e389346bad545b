// The floor of a pull: the same blobs from the page cache, inflated with ISA-L, hashed twice, and
// the same files written, with all cores and nothing else: no registry, no store, no checks.
//
//   pull_floor DIRECTORY BLOB...    one directory below DIRECTORY for each gzip-compressed blob
//
// One thread reads, hashes and inflates, one hashes the tar, the others write; a blob after the
// other, as one large layer is what decides. Ends with one syncfs(2), as a pull does.
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>

namespace {

constexpr std::size_t kChunk = 1U << 20U, kQueued = 8;

void check(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

template <class T>
class Queue {
 public:
  void push(T value) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return values_.size() < kQueued; });
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  T pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !values_.empty(); });
    T value = std::move(values_.front());
    values_.pop_front();
    changed_.notify_all();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

using Chunk = std::shared_ptr<std::string>;  // null: the end

class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Hash() { EVP_MD_CTX_free(context_); }
  void update(const void* data, std::size_t size) { EVP_DigestUpdate(context_, data, size); }

 private:
  EVP_MD_CTX* context_;
};

void inflate(const char* path, Queue<Chunk>& to_hash, Queue<Chunk>& to_parse) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  check(fd >= 0, path);
  Hash hash;
  auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  std::vector<std::uint8_t> input(kChunk);
  Chunk chunk = std::make_shared<std::string>(kChunk, '\0');
  std::size_t filled = 0;
  const auto send = [&] {
    chunk->resize(filled);
    to_hash.push(chunk);
    to_parse.push(chunk);
    chunk = std::make_shared<std::string>(kChunk, '\0');
    filled = 0;
  };
  for (ssize_t count = 0; (count = read(fd, input.data(), input.size())) > 0;) {
    hash.update(input.data(), static_cast<std::size_t>(count));
    state->next_in = input.data();
    state->avail_in = static_cast<std::uint32_t>(count);
    do {
      state->next_out = reinterpret_cast<std::uint8_t*>(chunk->data()) + filled;
      state->avail_out = static_cast<std::uint32_t>(kChunk - filled);
      check(isal_inflate(state.get()) == ISAL_DECOMP_OK, "inflate");
      filled = kChunk - state->avail_out;
      if (filled == kChunk) send();
    } while (state->avail_in > 0 && state->block_state != ISAL_BLOCK_FINISH);
  }
  send();
  to_hash.push(nullptr);
  to_parse.push(nullptr);
  close(fd);
}

// A file with all its content, or the end where `path` is empty.
struct File {
  std::string path, data;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  time_t mtime = 0;
};

void write_files(int root, Queue<File>& files) {
  for (;;) {
    const File file = files.pop();
    if (file.path.empty()) return;
    const int fd = openat(root, file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(fd >= 0, file.path.c_str());
    for (std::size_t at = 0; at < file.data.size();) {
      const ssize_t count = write(fd, file.data.data() + at, file.data.size() - at);
      check(count > 0, "write");
      at += static_cast<std::size_t>(count);
    }
    check(fchown(fd, file.uid, file.gid) == 0 && fchmod(fd, file.mode) == 0, "attributes");
    const timespec times[2] = {{file.mtime, 0}, {file.mtime, 0}};
    check(futimens(fd, times) == 0, "times");
    close(fd);
  }
}

// The tar as a stream of bytes.
class Stream {
 public:
  explicit Stream(Queue<Chunk>& chunks) : chunks_(chunks) {}

  bool read(char* data, std::size_t size) {
    while (size > 0) {
      if (!chunk_ || at_ == chunk_->size()) {
        if (ended_ || !(chunk_ = chunks_.pop())) {
          ended_ = true;
          return false;
        }
        at_ = 0;
      }
      const std::size_t count = std::min(size, chunk_->size() - at_);
      if (data != nullptr) std::memcpy(data, chunk_->data() + at_, count);
      data = data == nullptr ? nullptr : data + count;
      at_ += count;
      size -= count;
    }
    return true;
  }

 private:
  Queue<Chunk>& chunks_;
  Chunk chunk_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

std::uint64_t octal(const char* field, std::size_t size) {
  return std::strtoull(std::string(field, size).c_str(), nullptr, 8);
}

// "path" of a PAX record "27 path=usr/share/...\n".
std::string pax_path(const std::string& records) {
  for (std::size_t at = 0; at < records.size();) {
    const std::size_t size = std::strtoull(records.c_str() + at, nullptr, 10);
    const std::size_t blank = records.find(' ', at);
    if (size == 0 || blank == std::string::npos) break;
    if (records.compare(blank + 1, 5, "path=") == 0) {
      return records.substr(blank + 6, at + size - blank - 7);
    }
    at += size;
  }
  return {};
}

void make_parents(int root, const std::string& path, std::string& last) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || path.substr(0, slash) == last) return;
  last = path.substr(0, slash);
  for (std::size_t at = 0; at != std::string::npos;) {
    at = last.find('/', at + 1);
    mkdirat(root, last.substr(0, at).c_str(), 0755);
  }
}

void parse(int root, Queue<Chunk>& chunks, std::vector<Queue<File>>& writers) {
  Stream stream(chunks);
  std::string long_path, last;
  std::size_t next = 0;
  for (char header[512]; stream.read(header, sizeof header) && header[0] != '\0';) {
    const std::uint64_t size = octal(header + 124, 12);
    const char type = header[156];
    File file;
    if (type == '0' || type == '\0' || type == 'x') file.data.resize(size);
    stream.read(file.data.empty() ? nullptr : file.data.data(), size);
    stream.read(nullptr, (512 - size % 512) % 512);
    if (type == 'x') {
      long_path = pax_path(file.data);
      continue;
    }
    const std::string prefix(header + 345, strnlen(header + 345, 155));
    const std::string name(header, strnlen(header, 100));
    file.path = long_path.empty() ? (prefix.empty() ? name : prefix + "/" + name) : long_path;
    long_path.clear();
    while (!file.path.empty() && file.path.back() == '/') file.path.pop_back();
    if (file.path.empty() || file.path == ".") continue;
    make_parents(root, file.path, last);
    file.mode = static_cast<mode_t>(octal(header + 100, 8));
    file.uid = static_cast<uid_t>(octal(header + 108, 8));
    file.gid = static_cast<gid_t>(octal(header + 116, 8));
    file.mtime = static_cast<time_t>(octal(header + 136, 12));
    if (type == '5') {
      mkdirat(root, file.path.c_str(), 0755);
    } else if (type == '2') {
      const std::string target(header + 157, strnlen(header + 157, 100));
      symlinkat(target.c_str(), root, file.path.c_str());
    } else if (type == '0' || type == '\0') {
      writers[next++ % writers.size()].push(std::move(file));
    }
  }
  while (stream.read(nullptr, 1)) {
  }
  for (auto& writer : writers) writer.push({});
}

void unpack(const std::string& directory, const char* blob) {
  check(mkdir(directory.c_str(), 0755) == 0, directory.c_str());
  const int root = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Queue<Chunk> to_hash, to_parse;
  std::vector<Queue<File>> files(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::jthread> threads;
  threads.emplace_back([&] { inflate(blob, to_hash, to_parse); });
  threads.emplace_back([&] {
    Hash hash;
    while (const Chunk chunk = to_hash.pop()) hash.update(chunk->data(), chunk->size());
  });
  threads.emplace_back([&] { parse(root, to_parse, files); });
  for (auto& queue : files) threads.emplace_back([&] { write_files(root, queue); });
  threads.clear();  // joins
  close(root);
}

}  // namespace

int main(int argc, char** argv) {
  check(argc > 2, "usage: pull_floor DIRECTORY BLOB...");
  umask(0);
  for (int i = 2; i < argc; ++i) unpack(std::string(argv[1]) + "/" + std::to_string(i), argv[i]);
  const int fd = open(argv[1], O_RDONLY | O_DIRECTORY);
  check(syncfs(fd) == 0, "syncfs");
  return 0;
}
