#include "registry/answer_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "registry/content_range.h"

namespace registry {
namespace {

constexpr std::size_t kMaxErrorBodyBytes = 64U << 10U;
constexpr std::size_t kMaxAnswerHeaderBytes = 256U
                                              << 10U;  // of one exchange, all its headers together

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

AnswerReader::AnswerReader(const Request& request, BodyReceiver* receiver)
    : receiver_(receiver), body_limit_(request.body_limit) {
  response_.url = request.url;
}

void AnswerReader::fail(Diagnosis diagnosis) {
  response_.failure = diagnosis.failure;
  response_.cause = std::move(diagnosis.cause);
}

bool AnswerReader::go_on(bool wanted) {
  has_ended_itself_ = !wanted;
  return wanted;
}

bool AnswerReader::end_as_too_large() {
  fail({Failure::kTooLarge,
        response_.url.authority() + ": answer exceeds " + std::to_string(body_limit_) + " bytes"});
  return go_on(false);
}

// Begins another answer: after "100 Continue", for one.
void AnswerReader::read_status_line(std::string_view line) {
  response_.headers.clear();
  const std::size_t space = std::min(line.find(' '), line.size() - 1);
  const auto status = parse_length(line.substr(space + 1, 3));
  response_.status = static_cast<int>(status.value_or(0));
}

bool AnswerReader::end_headers() {
  // Trailers end with an empty line, too.
  if (!is_streamed() || std::exchange(has_begun_, true)) return true;
  return go_on(receiver_->begin(response_));
}

bool AnswerReader::take_header(std::string_view raw) {
  header_bytes_ += raw.size();
  if (header_bytes_ > kMaxAnswerHeaderBytes) return end_as_too_large();
  const std::string_view line = trim(raw);
  if (line.empty()) return end_headers();
  if (line.starts_with("HTTP/")) {
    read_status_line(line);
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    response_.headers.add(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
  return true;
}

bool AnswerReader::take_body(std::string_view bytes) {
  if (is_streamed()) return go_on(receiver_->write(bytes));
  const std::size_t limit = is_success() ? body_limit_ : std::min(body_limit_, kMaxErrorBodyBytes);
  const std::size_t room = limit - response_.body.size();
  response_.body.append(bytes.substr(0, room));
  if (bytes.size() <= room) return true;
  // The start of an error page says enough.
  return is_success() ? end_as_too_large() : go_on(false);
}

}  // namespace registry
