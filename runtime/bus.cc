#include "runtime/bus.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

static_assert(std::endian::native == std::endian::little, "messages are marked as little-endian");

constexpr char kSystemBus[] = "/run/dbus/system_bus_socket";
constexpr char kSystemdItself[] = "/run/systemd/private";
constexpr std::size_t kLargestMessage = 1U << 20U;
constexpr int kAnswerMilliseconds = 30'000;

// Codes of header fields.
enum : std::uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8
};

class BusReader {
 public:
  explicit BusReader(std::string_view bytes, std::size_t at = 0) : bytes_(bytes), at_(at) {}

  std::size_t position() const { return at_; }
  void align(std::size_t size) { at_ = (at_ + size - 1) / size * size; }
  std::uint8_t byte() {
    need(1);
    return static_cast<std::uint8_t>(bytes_[at_++]);
  }
  std::uint32_t u32() {
    align(4);
    need(4);
    std::uint32_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += 4;
    return value;
  }
  std::string string() { return take(u32()); }
  std::string signature() { return take(byte()); }

 private:
  void need(std::size_t size) const {
    if (at_ + size > bytes_.size())
      throw Error(ErrorKind::kCorrupt, "D-Bus: a message is too short");
  }
  std::string take(std::size_t size) {
    need(size + 1);
    std::string text(bytes_.substr(at_, size));
    at_ += size + 1;
    return text;
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
};

void write_field(BusWriter& header, std::uint8_t code, char type, std::string_view text) {
  if (text.empty()) return;
  header.align(8);
  header.byte(code);
  header.signature({&type, 1});
  if (type == 'g') {
    header.signature(text);
  } else {
    header.string(text);
  }
}

void read_field(BusReader& reader, BusMessage& message) {
  reader.align(8);
  const std::uint8_t code = reader.byte();
  const std::string type = reader.signature();
  std::uint32_t number = 0;
  std::string text;
  if (type == "u") {
    number = reader.u32();
  } else if (type == "g") {
    text = reader.signature();
  } else if (type == "s" || type == "o") {
    text = reader.string();
  } else {
    throw Error(ErrorKind::kCorrupt, "D-Bus: a header field of type " + type);
  }
  if (code == kReplySerial) message.reply_to = number;
  if (code == kMember) {
    message.member = std::move(text);
  } else if (code == kErrorName) {
    message.error_name = std::move(text);
  }
}

// "unix:path=/run/x,guid=…;unix:abstract=…": the first of a kind that we speak. See "Server
// Addresses".
std::string find_socket(const std::string& addresses) {
  for (std::size_t at = 0; at < addresses.size();) {
    const std::size_t end = std::min(addresses.find(';', at), addresses.size());
    const std::string one = addresses.substr(at, end - at);
    at = end + 1;
    for (const std::string_view key : {"unix:path=", "unix:abstract="}) {
      if (!one.starts_with(key)) continue;
      const std::string value = one.substr(key.size(), one.find(',') - key.size());
      return key == "unix:path=" ? value : "@" + value;
    }
  }
  throw Error(ErrorKind::kInvalid, "D-Bus: no address of a Unix socket in \"" + addresses + "\"");
}

base::UniqueFd connect_to(const std::string& name) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) {
    throw Error(ErrorKind::kInvalid, "D-Bus: the socket's name is longer than 107 bytes");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name.starts_with('@')) address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  base::UniqueFd fd(base::check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    const int failure = errno;
    throw Error(ErrorKind::kUnavailable,
                "no system bus at " + name + ": " + std::strerror(failure) +
                    "; is systemd running here? Without it leave out --systemd-cgroup",
                failure);
  }
  return fd;
}

// Early in a boot and in small systems there is no bus yet, or none at all; root may talk to
// systemd itself then, as its own tools do.
base::UniqueFd connect_to_system(bool& is_direct) {
  try {
    return connect_to(kSystemBus);
  } catch (const Error&) {
    is_direct = geteuid() == 0 && access(kSystemdItself, F_OK) == 0;
    if (!is_direct) throw;
  }
  return connect_to(kSystemdItself);
}

}  // namespace

void BusWriter::u32(std::uint32_t value) {
  align(4);
  bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void BusWriter::u64(std::uint64_t value) {
  align(8);
  bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void BusWriter::string(std::string_view text) {
  u32(static_cast<std::uint32_t>(text.size()));
  bytes_.append(text).push_back('\0');
}

void BusWriter::signature(std::string_view text) {
  byte(static_cast<std::uint8_t>(text.size()));
  bytes_.append(text).push_back('\0');
}

BusWriter::Array BusWriter::begin_array(std::size_t element_alignment) {
  u32(0);
  Array array{.length_at = bytes_.size() - 4};
  align(element_alignment);  // does not count
  array.begin = bytes_.size();
  return array;
}

void BusWriter::end_array(const Array& array) {
  const auto length = static_cast<std::uint32_t>(bytes_.size() - array.begin);
  std::memcpy(bytes_.data() + array.length_at, &length, sizeof length);
}

namespace {

// See "Basic types" of the D-Bus specification: each is aligned to its size.
std::size_t size_of(char type) {
  switch (type) {
    case 'y':
    case 'g':
      return 1;
    case 'n':
    case 'q':
      return 2;
    case 'x':
    case 't':
    case 'd':
      return 8;
    default:
      return 4;
  }
}

bool is_text(char type) { return type == 's' || type == 'o' || type == 'g'; }

void write_text(BusWriter& body, char type, const std::string& text) {
  if (type == 'g') {
    body.signature(text);
  } else {
    body.string(text);
  }
}

void write_number(BusWriter& body, char type, std::uint64_t number) {
  const std::size_t size = size_of(type);
  body.align(size);
  for (std::size_t i = 0; i < size; ++i) body.byte(static_cast<std::uint8_t>(number >> 8 * i));
}

}  // namespace

void write_properties(BusWriter& body, const std::vector<BusProperty>& properties) {
  const auto array = body.begin_array(8);
  for (const BusProperty& property : properties) {
    body.align(8);
    body.string(property.name);
    body.signature(property.type);
    const char type = property.type.back();
    if (!property.type.starts_with('a')) {
      is_text(type) ? write_text(body, type, property.text)
                    : write_number(body, type, property.number);
      continue;
    }
    const auto elements = body.begin_array(size_of(type));
    for (const std::uint64_t number : property.numbers) write_number(body, type, number);
    for (const std::string& text : property.texts) write_text(body, type, text);
    body.end_array(elements);
  }
  body.end_array(array);
}

std::string BusMessage::text_at(std::string_view signature, std::size_t index) const {
  BusReader reader(body);
  for (std::size_t i = 0; i < signature.size(); ++i) {
    if (signature[i] == 'u') {
      const std::uint32_t number = reader.u32();
      if (i == index) return std::to_string(number);
    } else if (signature[i] == 'g') {
      std::string text;
      for (std::size_t size = reader.byte(); size > 0; --size) {
        text += static_cast<char>(reader.byte());
      }
      reader.byte();  // the zero at its end
      if (i == index) return text;
    } else {
      std::string text = reader.string();
      if (i == index) return text;
    }
  }
  return {};
}

bool parse_message(std::string_view bytes, BusMessage& message, std::size_t& size) {
  constexpr std::size_t kFixed = 16;
  if (bytes.size() < kFixed) return false;
  BusReader reader(bytes);
  if (reader.byte() != 'l') throw Error(ErrorKind::kCorrupt, "D-Bus: not a little-endian message");
  message.type = static_cast<BusMessage::Type>(reader.byte());
  reader.byte();
  reader.byte();
  const std::size_t body_size = reader.u32();
  message.serial = reader.u32();
  const std::size_t fields = reader.u32();
  if (body_size > kLargestMessage || fields > kLargestMessage) {
    throw Error(ErrorKind::kCorrupt, "D-Bus: a message is too large");
  }
  const std::size_t header = (kFixed + fields + 7) / 8 * 8;
  size = header + body_size;
  if (bytes.size() < size) return false;
  while (reader.position() < kFixed + fields) read_field(reader, message);
  message.body = bytes.substr(header, body_size);
  return true;
}

Bus::Bus(const std::string& address)
    : socket_(address.empty() ? connect_to_system(is_direct_) : connect_to(find_socket(address))) {
  authenticate();
  if (!is_direct_) call_bus("Hello", "", "");
}

void Bus::call_bus(std::string member, std::string signature, std::string body) {
  call({.destination = "org.freedesktop.DBus",
        .path = "/org/freedesktop/DBus",
        .interface = "org.freedesktop.DBus",
        .member = std::move(member),
        .signature = std::move(signature),
        .body = std::move(body)});
}

void Bus::listen_for(std::string_view rule) {
  if (is_direct_) return;
  BusWriter body;
  body.string(rule);
  call_bus("AddMatch", "s", body.bytes());
}

std::string Bus::read_line() {
  std::string line;
  while (!line.ends_with("\r\n") && line.size() < 512) {
    char letter = 0;
    if (base::check(read(socket_.get(), &letter, 1), "D-Bus") == 0) break;
    line += letter;
  }
  return line;
}

// "Authentication Protocol": we are who the kernel says we are. Without a word about our id, which
// in a user namespace is another one than the bus sees.
void Bus::authenticate() {
  using namespace std::string_view_literals;  // whose length counts the first zero
  base::write_all(socket_.get(), "\0AUTH EXTERNAL\r\nDATA\r\n"sv);
  std::string answer = read_line();
  if (answer.starts_with("DATA")) answer = read_line();
  if (!answer.starts_with("OK ")) {
    throw Error(ErrorKind::kSystem,
                "the bus does not let user " + std::to_string(geteuid()) + " in: " + answer);
  }
  base::write_all(socket_.get(), "BEGIN\r\n");
}

void Bus::send_call(const Call& call) {
  BusWriter message;
  message.byte('l');
  message.byte(static_cast<std::uint8_t>(BusMessage::Type::kCall));
  message.byte(0);  // flags
  message.byte(1);  // version of the protocol
  message.u32(static_cast<std::uint32_t>(call.body.size()));
  message.u32(++serial_);
  const auto fields = message.begin_array(8);
  write_field(message, kPath, 'o', call.path);
  write_field(message, kInterface, 's', call.interface);
  write_field(message, kMember, 's', call.member);
  write_field(message, kDestination, 's', call.destination);
  write_field(message, kSignature, 'g', call.signature);
  message.end_array(fields);
  message.align(8);
  base::write_all(socket_.get(), message.bytes() + call.body);
}

BusMessage Bus::read_message(int milliseconds) {
  for (;;) {
    BusMessage message;
    std::size_t size = 0;
    if (parse_message(received_, message, size)) {
      received_.erase(0, size);
      return message;
    }
    pollfd item = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&item, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (base::check(ready, "poll") == 0) {
      throw Error(ErrorKind::kUnavailable, "systemd does not answer on the system bus");
    }
    char buffer[4096];
    const ssize_t count = base::check(read(socket_.get(), buffer, sizeof buffer), "D-Bus");
    if (count == 0) throw Error(ErrorKind::kUnavailable, "the system bus closed the connection");
    received_.append(buffer, static_cast<std::size_t>(count));
  }
}

BusMessage Bus::call(const Call& call) {
  send_call(call);
  for (;;) {
    BusMessage message = read_message(kAnswerMilliseconds);
    if (message.type == BusMessage::Type::kSignal) {
      signals_.push_back(std::move(message));
      continue;
    }
    if (message.reply_to != serial_) continue;
    if (message.type == BusMessage::Type::kReturn) return message;
    const bool missing = message.error_name.ends_with(".NoSuchUnit");
    const std::string words = message.body.empty() ? message.error_name : message.text_at("s", 0);
    throw Error(missing ? ErrorKind::kNotFound : ErrorKind::kSystem,
                "systemd: " + call.member + ": " + words);
  }
}

BusMessage Bus::wait_for_signal(std::string_view member, int seconds) {
  for (;;) {
    const auto found = std::find_if(signals_.begin(), signals_.end(),
                                    [&](const BusMessage& each) { return each.member == member; });
    if (found != signals_.end()) {
      BusMessage message = std::move(*found);
      signals_.erase(found);
      return message;
    }
    BusMessage message = read_message(seconds * 1000);
    if (message.type == BusMessage::Type::kSignal) signals_.push_back(std::move(message));
  }
}

}  // namespace runtime
