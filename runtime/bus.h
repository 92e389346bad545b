// Bus: a client of D-Bus with no more than asking systemd for a unit takes: the messages of one
// call and one signal, written out by hand because a program without a dynamic loader can load no
// library for the rare caller that wants it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// Values in D-Bus's own layout: each aligned to its size, see "Marshaling" of the D-Bus
// specification.
class BusWriter {
 public:
  void byte(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void boolean(bool value) { u32(value ? 1 : 0); }
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void string(std::string_view text);     // s, o
  void signature(std::string_view text);  // g
  void align(std::size_t size) { bytes_.resize((bytes_.size() + size - 1) / size * size); }
  // An array: its length is known once its elements are written. Gives what end_array() wants.
  struct Array {
    std::size_t length_at = 0, begin = 0;
  };
  Array begin_array(std::size_t element_alignment);
  void end_array(const Array& array);
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// One property of a unit: (sv).
struct BusProperty {
  std::string name;
  std::string type;                    // a basic type of D-Bus, "t", or an array of one, "au"
  std::string text;                    // s, o, g
  std::uint64_t number = 0;            // b and all numbers; a double by its bits
  std::vector<std::uint64_t> numbers;  // an array of those
  std::vector<std::string> texts;      // an array of texts
  friend bool operator==(const BusProperty&, const BusProperty&) = default;
};
void write_properties(BusWriter& body, const std::vector<BusProperty>& properties);

struct BusMessage {
  enum class Type : std::uint8_t { kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };
  Type type = Type::kCall;
  std::uint32_t serial = 0, reply_to = 0;
  std::string member, error_name, body;
  // The n-th of leading values of the body, which are strings, signatures and numbers of 32 bits
  // ("uoss"; "gs" for a variant that holds a string); empty where there is none.
  std::string text_at(std::string_view signature, std::size_t index) const;
};
// The message at the start of `bytes`, of which it takes `size`; false where more has to be read.
// Throws kCorrupt.
bool parse_message(std::string_view bytes, BusMessage& message, std::size_t& size);

class Bus {
 public:
  // `address`: as in DBUS_SYSTEM_BUS_ADDRESS or DBUS_SESSION_BUS_ADDRESS; empty: the system's bus,
  // or, for root where there is none, systemd's own socket. Throws kUnavailable, saying what is
  // missing.
  explicit Bus(const std::string& address);

  struct Call {
    std::string destination, path, interface, member, signature, body;
  };
  // Waits for the answer. Throws BusError's kind: kNotFound for units that are not there, else
  // kSystem with the bus's words.
  BusMessage call(const Call& call);
  // Signals that match the rule come from now on; systemd itself sends its own unasked.
  void listen_for(std::string_view rule);
  // The next signal of that name; throws kUnavailable where none comes within `seconds`.
  BusMessage wait_for_signal(std::string_view member, int seconds);

 private:
  void authenticate();
  void call_bus(std::string member, std::string signature, std::string body);
  std::string read_line();
  void send_call(const Call& call);
  BusMessage read_message(int milliseconds);

  bool is_direct_ = false;  // no bus between us and systemd; known before the socket
  base::UniqueFd socket_;
  std::string received_;
  std::vector<BusMessage> signals_;
  std::uint32_t serial_ = 0;
};

}  // namespace runtime
