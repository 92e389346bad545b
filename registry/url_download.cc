#include "registry/url_download.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "registry/content_range.h"
#include "registry/failure.h"

namespace registry {
namespace {

// An attempt that got so much further is no failure: the count of attempts starts anew.
constexpr std::uint64_t kStepBytes = 1U << 20U;

class UrlBody : public BodyReceiver {
 public:
  UrlBody(std::uint64_t limit, BlobSink& sink) : limit_(limit), sink_(sink) {}

  std::uint64_t position() const { return position_; }
  bool had_bad_range() const { return had_bad_range_; }
  void stop_using_ranges() { tag_.clear(); }

  // If-Range makes a server that has other content now send all of it (RFC 9110, section 13.1.5).
  std::vector<std::string> range_headers() const {
    if (position_ == 0 || tag_.empty()) return {};
    return {"Range: bytes=" + std::to_string(position_) + "-", "If-Range: " + tag_};
  }

  bool begin(const Response& head) override {
    const std::string tag = head.headers.find("etag");
    had_bad_range_ = head.status == 206 && !fits(head.headers.find("content-range"), tag);
    if (had_bad_range_) return false;
    if (head.status == 206) return true;
    if (head.status != 200) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "unexpected HTTP " + std::to_string(head.status));
    }
    if (parse_length(head.headers.find("content-length")).value_or(0) > limit_) throw_too_large();
    if (position_ > 0) sink_.restart();
    position_ = 0;
    tag_ = tag.starts_with('"') ? tag : std::string();
    return true;
  }

  bool write(std::string_view bytes) override {
    if (bytes.size() > limit_ - position_) throw_too_large();
    sink_.write(bytes);
    position_ += bytes.size();
    return true;
  }

 private:
  bool fits(const std::string& header, const std::string& tag) const {
    const auto range = parse_content_range(header);
    return range && !tag_.empty() && tag == tag_ && range->first == position_;
  }

  [[noreturn]] void throw_too_large() const {
    throw base::Error(base::ErrorKind::kInvalid,
                      "larger than " + std::to_string(limit_) + " bytes");
  }

  std::uint64_t limit_;
  BlobSink& sink_;
  std::uint64_t position_ = 0;  // what the sink has
  std::string tag_;             // of that; empty: the server can't be asked for the rest
  bool had_bad_range_ = false;
};

}  // namespace

void download_url(Session& session, const std::string& address, std::uint64_t limit,
                  BlobSink& sink) {
  const Url url = Url::parse(address);
  base::while_doing("download " + base::printable(address), [&] {
    UrlBody body(limit, sink);
    RetryBudget budget = session.retrier().make_budget();
    for (std::uint64_t furthest = 0;;) {
      const Response response = session.attempt_address(url, body.range_headers(), &body);
      const bool is_bad_range = response.status == 416 || body.had_bad_range();
      if (response.is_success() && !is_bad_range) return;
      // Only a step beyond all attempts before counts, or one that always breaks would never end.
      if (body.position() >= furthest + kStepBytes) budget.reset();
      furthest = std::max(furthest, body.position());
      if (is_bad_range) body.stop_using_ranges();
      const bool goes_on = is_bad_range ? session.retrier().pause(response, budget)
                                        : session.retrier().wait_for_next(response, budget);
      if (!goes_on) throw_failure(response);
    }
  });
}

}  // namespace registry
