#include "runtime/criu_rpc.h"

#include "base/error.h"

namespace runtime {
namespace {

// Of the format.
constexpr unsigned kVarint = 0, kFixed64 = 1, kText = 2, kFixed32 = 5;
// Of criu_resp, criu_restore_resp and criu_notify.
constexpr unsigned kAnswerType = 1, kSuccess = 2, kRestoreAnswer = 4, kNotify = 5, kErrorText = 9;
constexpr unsigned kRestoredPid = 1, kMoment = 1, kMomentPid = 2;

[[noreturn]] void throw_broken() {
  throw base::Error(base::ErrorKind::kCorrupt, "criu's answer can't be read");
}

struct Field {
  unsigned number = 0;
  std::uint64_t value = 0;
  std::string_view text;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool next(Field& field) {
    if (bytes_.empty()) return false;
    const std::uint64_t key = varint();
    field = {.number = static_cast<unsigned>(key >> 3U), .value = 0, .text = {}};
    switch (key & 7U) {
      case kVarint:
        field.value = varint();
        break;
      case kText:
        field.text = take(varint());
        break;
      case kFixed64:
        take(8);
        break;
      case kFixed32:
        take(4);
        break;
      default:
        throw_broken();
    }
    return true;
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size()) throw_broken();
    const std::string_view taken = bytes_.substr(0, static_cast<std::size_t>(size));
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  std::uint64_t varint() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      number |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return number;
    }
    throw_broken();
  }

  std::string_view bytes_;
};

pid_t read_pid(std::string_view message, unsigned number) {
  Reader reader(message);
  Field field;
  pid_t pid = 0;
  while (reader.next(field)) {
    if (field.number == number) pid = static_cast<pid_t>(field.value);
  }
  return pid;
}

std::string read_moment(std::string_view message) {
  Reader reader(message);
  Field field;
  std::string moment;
  while (reader.next(field)) {
    if (field.number == kMoment) moment = field.text;
  }
  return moment;
}

}  // namespace

void CriuMessage::put(std::uint64_t number) {
  for (; number >= 0x80U; number >>= 7U) {
    bytes_.push_back(static_cast<char>((number & 0x7fU) | 0x80U));
  }
  bytes_.push_back(static_cast<char>(number));
}

void CriuMessage::add(unsigned field, std::uint64_t number) {
  put(field << 3U | kVarint);
  put(number);
}

void CriuMessage::add(unsigned field, std::string_view text) {
  put(field << 3U | kText);
  put(text.size());
  bytes_ += text;
}

CriuAnswer parse_criu_answer(std::string_view bytes) {
  CriuAnswer answer;
  Reader reader(bytes);
  Field field;
  while (reader.next(field)) {
    switch (field.number) {
      case kAnswerType:
        answer.action = field.value;
        break;
      case kSuccess:
        answer.success = field.value != 0;
        break;
      case kRestoreAnswer:
        answer.restored = read_pid(field.text, kRestoredPid);
        break;
      case kNotify:
        answer.moment = read_moment(field.text);
        answer.pid = read_pid(field.text, kMomentPid);
        break;
      case kErrorText:
        answer.error = field.text;
        break;
      default:
        break;
    }
  }
  return answer;
}

}  // namespace runtime
