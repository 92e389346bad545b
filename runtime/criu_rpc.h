// CriuMessage, CriuAnswer: what criu is told and what it says, in the wire form of its rpc.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace runtime {

// One message of protocol buffers, field by field, in any order. See
// https://protobuf.dev/programming-guides/encoding/.
class CriuMessage {
 public:
  void add(unsigned field, std::uint64_t number);  // also of bool and enum
  void add(unsigned field, std::string_view text);
  void add(unsigned field, const CriuMessage& message) { add(field, message.bytes()); }
  std::string_view bytes() const { return bytes_; }

 private:
  void put(std::uint64_t number);
  std::string bytes_;
};

// criu_req_type.
enum class CriuAction : std::uint8_t {
  kDump = 1,
  kRestore = 2,
  kNotify = 6,
  kFeatureCheck = 9,
  kSinglePreDump = 13,
};

struct CriuAnswer {
  std::uint64_t action = 0;
  bool success = false;
  pid_t restored = 0;  // of kRestore
  std::string moment;  // of kNotify: "setup-namespaces"
  pid_t pid = 0;       // of kNotify: the first process
  std::string error;
};

// Throws kCorrupt.
CriuAnswer parse_criu_answer(std::string_view bytes);

}  // namespace runtime
