// AnswerReader: puts a Response together from header lines and pieces of a body, within limits.
#pragma once

#include <cstddef>
#include <string_view>

#include "registry/diagnosis.h"
#include "registry/http.h"

namespace registry {

class AnswerReader {
 public:
  // `receiver` may be null; it gets the body of a 2xx answer.
  AnswerReader(const Request& request, BodyReceiver* receiver);

  // Both return whether to go on, and throw what the receiver throws. A line is taken with or
  // without its end; an empty one ends the headers.
  bool take_header(std::string_view line);
  bool take_body(std::string_view bytes);

  // Whether one of them said no: the connection then breaks off, which is no further failure.
  bool has_ended_itself() const { return has_ended_itself_; }
  void fail(Diagnosis diagnosis);
  Response take_response() { return std::move(response_); }

 private:
  bool is_success() const { return response_.status >= 200 && response_.status < 300; }
  bool is_streamed() const { return receiver_ != nullptr && is_success(); }
  void read_status_line(std::string_view line);
  bool end_headers();
  bool end_as_too_large();
  bool go_on(bool wanted);

  Response response_;
  BodyReceiver* receiver_;
  std::size_t body_limit_;
  std::size_t header_bytes_ = 0;
  bool has_begun_ = false;
  bool has_ended_itself_ = false;
};

}  // namespace registry
