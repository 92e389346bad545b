// docker's `local` records, and what does not depend on the format.
#include <algorithm>
#include <cerrno>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "engine/log/log_format.h"

namespace engine {
namespace {

constexpr std::size_t kLength = 4;              // of the lengths around a message, big-endian
constexpr std::size_t kMaxMessage = 1U << 20U;  // docker's bound, far above what LogWriter writes
constexpr std::size_t kTailChunk = 65536;

// Tags of docker's message LogEntry: a field's number and its wire type
// (protobuf.dev/programming-guides/encoding).
enum Tag : std::uint8_t {
  kSource = 0x0a,
  kTime = 0x10,
  kLine = 0x1a,
  kPartial = 0x20,
  kPartialData = 0x2a,
};
constexpr std::uint8_t kPartialLast = 0x08;  // a field of the message in kPartialData

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<char>(value));
}

void put_length(char* at, std::size_t length) {
  for (std::size_t i = 0; i < kLength; ++i) {
    at[i] = static_cast<char>(length >> (8 * (kLength - 1 - i)));
  }
}

std::size_t get_length(const char* at) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLength; ++i)
    length = length << 8U | static_cast<unsigned char>(at[i]);
  return length;
}

// Reads fields of a message; every member is false for one that is cut short.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }

  bool take_varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool take_bytes(std::string_view& bytes) {
    std::uint64_t size = 0;
    if (!take_varint(size) || size > rest_.size()) return false;
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

// docker cuts long lines, too, and says of the last part only that it is that.
bool says_last(std::string_view partial_data) {
  Fields fields(partial_data);
  std::uint64_t tag = 0;
  std::uint64_t value = 0;
  return !fields.at_end() && fields.take_varint(tag) && tag == kPartialLast &&
         fields.take_varint(value) && value != 0;
}

bool decode_message(std::string_view message, LogEntry& entry) {
  Fields fields(message);
  std::string_view source;
  std::string_view line;
  std::string_view partial_data;
  std::uint64_t time = 0;
  std::uint64_t partial = 0;
  while (!fields.at_end()) {
    std::uint64_t tag = 0;
    if (!fields.take_varint(tag)) return false;
    const bool whole = tag == kSource        ? fields.take_bytes(source)
                       : tag == kTime        ? fields.take_varint(time)
                       : tag == kLine        ? fields.take_bytes(line)
                       : tag == kPartial     ? fields.take_varint(partial)
                       : tag == kPartialData ? fields.take_bytes(partial_data)
                                             : false;
    if (!whole) return false;
  }
  entry.is_stderr = source == "stderr";
  entry.time = static_cast<base::Nanoseconds>(time);
  entry.text = line;
  if (partial == 0 || says_last(partial_data)) entry.text += '\n';
  return true;
}

off_t size_of(int fd) {
  struct stat info = {};
  base::check(fstat(fd, &info), "fstat");
  return info.st_size;
}

// The length that is written at `at`; 0 where there is none that makes sense.
std::size_t length_at(int fd, off_t at) {
  char bytes[kLength];
  if (at < 0 || pread(fd, bytes, sizeof bytes, at) != static_cast<ssize_t>(sizeof bytes)) return 0;
  const std::size_t length = get_length(bytes);
  return length <= kMaxMessage ? length : 0;
}

// Backwards, by the lengths behind the records.
off_t find_local_tail(int fd, std::int64_t& wanted) {
  off_t end = find_whole_length(fd, LogFormat::kLocal);
  while (end > 0 && wanted > 0) {
    const std::size_t length = length_at(fd, end - static_cast<off_t>(kLength));
    const off_t start = end - static_cast<off_t>(length + 2 * kLength);
    if (length == 0 || start < 0) return end;
    end = start;
    --wanted;
  }
  return end;
}

// Counts newlines backwards from the end.
off_t find_json_tail(int fd, std::int64_t& wanted) {
  const off_t size = size_of(fd);
  std::vector<char> chunk(kTailChunk);
  off_t end = size;
  bool at_last_byte = true;
  while (end > 0) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(kTailChunk));
    const ssize_t count = pread(fd, chunk.data(), static_cast<std::size_t>(end - start), start);
    base::check(count, "read log");
    for (ssize_t i = count; i-- > 0;) {
      if (chunk[static_cast<std::size_t>(i)] == '\n' && !at_last_byte && --wanted == 0) {
        return start + i + 1;
      }
      at_last_byte = false;
    }
    end = start;
  }
  if (size > 0) --wanted;
  return 0;
}

}  // namespace

void append_local_record(std::string& out, std::string_view text, Stream stream,
                         base::Nanoseconds time) {
  const bool whole = text.ends_with('\n');
  if (whole) text.remove_suffix(1);
  const std::size_t start = out.size();
  out.append(kLength, '\0');
  out.push_back(static_cast<char>(kSource));
  out.push_back(6);
  out += stream == Stream::kStdout ? "stdout" : "stderr";
  out.push_back(static_cast<char>(kTime));
  append_varint(out, static_cast<std::uint64_t>(time));
  out.push_back(static_cast<char>(kLine));
  append_varint(out, text.size());
  out += text;
  if (!whole) {
    out.push_back(static_cast<char>(kPartial));
    out.push_back(1);
  }
  const std::size_t length = out.size() - start - kLength;
  put_length(&out[start], length);
  out.append(kLength, '\0');
  put_length(&out[out.size() - kLength], length);
}

std::size_t LogDecoder::take(std::string_view bytes, LogEntry& entry, bool& valid) {
  if (format_ == LogFormat::kJson) return take_json(bytes, entry, valid);
  if (bytes.size() < kLength) return 0;
  const std::size_t length = get_length(bytes.data());
  valid = false;
  // Nothing tells where the next record begins: the rest of the file is given up.
  if (length > kMaxMessage) return bytes.size();
  if (bytes.size() < length + 2 * kLength) return 0;
  valid = get_length(bytes.data() + kLength + length) == length &&
          decode_message(bytes.substr(kLength, length), entry);
  return length + 2 * kLength;
}

off_t find_tail_offset(int fd, LogFormat format, std::int64_t& wanted) {
  return format == LogFormat::kJson ? find_json_tail(fd, wanted) : find_local_tail(fd, wanted);
}

off_t find_whole_length(int fd, LogFormat format) {
  const off_t size = size_of(fd);
  if (format == LogFormat::kJson || size == 0) return size;
  const auto both = static_cast<off_t>(2 * kLength);
  const std::size_t last = length_at(fd, size - static_cast<off_t>(kLength));
  if (last != 0 && length_at(fd, size - static_cast<off_t>(last) - both) == last) return size;
  off_t at = 0;
  for (;;) {
    const std::size_t length = length_at(fd, at);
    const off_t next = at + static_cast<off_t>(length) + both;
    if (length == 0 || length_at(fd, next - static_cast<off_t>(kLength)) != length) return at;
    at = next;
  }
}

}  // namespace engine
