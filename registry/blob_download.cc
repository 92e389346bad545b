#include "registry/blob_download.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/trace.h"
#include "registry/content_range.h"
#include "registry/failure.h"

namespace registry {
namespace {

// An attempt that brought so much is no sign of a server that can't serve the blob: the count of
// attempts starts anew. Less would let a server that drips a byte for each request go on for ever.
constexpr std::uint64_t kProgressBytes = 1U << 20U;

[[noreturn]] void throw_corrupt(const std::string& reason) {
  throw base::Error(base::ErrorKind::kCorrupt, reason);
}

[[noreturn]] void throw_other_size(std::uint64_t served, std::uint64_t wanted) {
  throw_corrupt("the registry serves " + std::to_string(served) + " bytes instead of " +
                std::to_string(wanted));
}

bool is_strong_tag(const std::string& tag) { return tag.size() > 2 && tag.starts_with('"'); }

// Puts the bodies of several answers together into one stream.
class Assembler : public BodyReceiver {
 public:
  Assembler(std::uint64_t size, std::uint64_t offset, BlobSink& sink)
      : size_(size), position_(offset), sink_(sink) {}

  std::uint64_t position() const { return position_; }
  bool is_complete() const { return position_ == size_; }
  // The server can't be trusted with ranges: from now on whole bodies, of which what is known
  // already is skipped.
  void stop_using_ranges() { uses_ranges_ = false; }
  bool uses_ranges() const { return uses_ranges_; }
  bool had_bad_range() const { return had_bad_range_; }

  std::vector<std::string> range_header() const {
    if (position_ == 0 || !uses_ranges_) return {};
    return {"Range: bytes=" + std::to_string(position_) + "-"};
  }

  bool begin(const Response& head) override {
    const std::string tag = head.headers.find("etag");
    const bool is_changed = is_about_other_content(tag);
    had_bad_range_ =
        head.status == 206 && (is_changed || !fits(head.headers.find("content-range")));
    if (had_bad_range_) return false;
    if (is_strong_tag(tag)) tag_ = tag;
    if (head.status == 206) {
      skip_ = 0;
      return true;
    }
    if (head.status != 200) throw_corrupt("unexpected HTTP " + std::to_string(head.status));
    const auto length = parse_length(head.headers.find("content-length"));
    if (length && *length != size_) throw_other_size(*length, size_);
    if (is_changed && position_ > 0) {
      sink_.restart();
      position_ = 0;
    }
    skip_ = position_;
    return true;
  }

  bool write(std::string_view bytes) override {
    const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size()));
    skip_ -= skipped;
    bytes.remove_prefix(skipped);
    const std::uint64_t room = size_ - position_;
    const std::string_view wanted =
        bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(room, bytes.size())));
    if (!wanted.empty()) {
      sink_.write(wanted);
      position_ += wanted.size();
    }
    if (bytes.size() > room) {
      throw_corrupt("the registry serves more than " + std::to_string(size_) + " bytes");
    }
    return true;
  }

 private:
  // Other than the answers before this one. Only strong tags tell (RFC 9110, section 8.8.3), and
  // nothing is known of what an earlier run received.
  bool is_about_other_content(const std::string& tag) const {
    return is_strong_tag(tag) && !tag_.empty() && tag != tag_;
  }

  bool fits(const std::string& header) const {
    const auto range = parse_content_range(header);
    const std::uint64_t asked = uses_ranges_ ? position_ : 0;
    return range && range->first == asked && range->last < size_ &&
           range->total.value_or(size_) == size_;
  }

  std::uint64_t size_;
  std::uint64_t position_;  // of the next byte for the sink
  std::uint64_t skip_ = 0;  // bytes of this body that the sink has already
  BlobSink& sink_;
  bool uses_ranges_ = true;
  bool had_bad_range_ = false;
  std::string tag_;
};

// Expired signatures of an object store's address, for one: the registry will make a new one.
bool is_elsewhere_refusal(const Response& response) {
  return response.is_from_elsewhere && response.is_complete() && response.status >= 400 &&
         response.status < 500;
}

class Download {
 public:
  // `foreign`: in place of the registry.
  Download(Session& session, const Repository& repository, const oci::Descriptor& blob,
           std::uint64_t offset, BlobSink& sink, std::optional<Url> foreign = {})
      : session_(session),
        repository_(repository),
        target_("blobs/" + blob.digest.str()),
        size_(blob.size),
        assembler_(blob.size, offset, sink),
        foreign_(std::move(foreign)) {}

  void run() {
    RetryBudget budget = session_.retrier().make_budget();
    while (!assembler_.is_complete()) {
      const std::uint64_t before = assembler_.position();
      const Response response = attempt();
      if (assembler_.is_complete()) break;
      if (assembler_.position() >= before + kProgressBytes) budget.reset();
      prepare_next(response, budget);
    }
  }

  std::uint64_t position() const { return assembler_.position(); }

 private:
  Response attempt() {
    if (foreign_) {
      return session_.attempt_foreign(*foreign_, assembler_.range_header(), &assembler_);
    }
    const ApiRequest request{.resource = target_, .headers = assembler_.range_header()};
    return session_.attempt(repository_, request, &assembler_);
  }

  // Throws where there is no point in a next attempt.
  void prepare_next(const Response& response, RetryBudget& budget) {
    const auto served = response.status == 416
                            ? parse_unsatisfied_range(response.headers.find("content-range"))
                            : std::nullopt;
    if (served && *served != size_) throw_other_size(*served, size_);
    const bool is_bad_range = response.status == 416 || assembler_.had_bad_range();
    if (is_bad_range && assembler_.uses_ranges()) {
      base::trace("registry", target_ + ": ranges do not work here");
      assembler_.stop_using_ranges();
      return;
    }
    if (assembler_.had_bad_range())
      throw_corrupt("the registry serves other ranges than it was asked for");
    if (response.is_success()) return wait_or_give_up(ended_early(response), budget);
    if (is_elsewhere_refusal(response)) return wait_or_give_up(response, budget);
    if (!session_.retrier().wait_for_next(response, budget)) throw_failure(response);
  }

  // A body that ended properly, as far as HTTP goes, but too soon.
  Response ended_early(Response response) const {
    response.failure = Failure::kBroken;
    response.cause = response.url.authority() + ": ended after " +
                     std::to_string(assembler_.position()) + " of " + std::to_string(size_) +
                     " bytes";
    return response;
  }

  void wait_or_give_up(const Response& response, RetryBudget& budget) {
    if (!session_.retrier().pause(response, budget)) throw_failure(response);
  }

  Session& session_;
  const Repository& repository_;
  std::string target_;
  std::uint64_t size_;
  Assembler assembler_;
  std::optional<Url> foreign_;
};

// From the addresses that the manifest gives, in its order, until one of them begins to send it.
void download_foreign(Session& session, const Repository& repository, const oci::Descriptor& blob,
                      std::uint64_t offset, BlobSink& sink) {
  std::string failures;
  for (const std::string& address : blob.urls) {
    std::uint64_t position = offset;
    try {
      Download download(session, repository, blob, offset, sink, Url::parse(address));
      const base::Cleanup note([&] { position = download.position(); });
      return download.run();
    } catch (const base::Error& error) {
      if (position != offset) throw;
      failures += (failures.empty() ? "" : "; ") + base::printable(error.what());
    }
  }
  throw base::Error(base::ErrorKind::kNotFound,
                    "neither the registry nor the layer's own addresses have it: " + failures);
}

class StringSink : public BlobSink {
 public:
  void restart() override { text.clear(); }
  void write(std::string_view bytes) override { text += bytes; }

  std::string text;
};

}  // namespace

void verify(const oci::Descriptor& descriptor, std::string_view bytes) {
  if (bytes.size() != descriptor.size) {
    throw_corrupt(descriptor.digest.str() + " has " + std::to_string(bytes.size()) +
                  " bytes instead of " + std::to_string(descriptor.size));
  }
  const std::string hex = base::sha256_hex(bytes);
  if (hex != descriptor.digest.hex()) {
    throw_corrupt("digest mismatch: expected " + descriptor.digest.str() + ", got sha256:" + hex);
  }
}

void download_blob(Session& session, const Repository& repository, const oci::Descriptor& blob,
                   std::uint64_t offset, BlobSink& sink) {
  base::while_doing("blob " + blob.digest.str(), [&] {
    if (offset > blob.size) {
      throw base::Error(base::ErrorKind::kInvalid, "offset " + std::to_string(offset) +
                                                       " is beyond its " +
                                                       std::to_string(blob.size) + " bytes");
    }
    if (blob.data) {
      verify(blob, *blob.data);
      sink.write(std::string_view(*blob.data).substr(static_cast<std::size_t>(offset)));
      return;
    }
    try {
      Download(session, repository, blob, offset, sink).run();
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kNotFound || blob.urls.empty()) throw;
      download_foreign(session, repository, blob, offset, sink);
    }
  });
}

std::string load_blob(Session& session, const Repository& repository, const oci::Descriptor& blob,
                      std::size_t limit) {
  if (blob.size > limit) {
    throw base::Error(
        base::ErrorKind::kInvalid,
        "blob " + blob.digest.str() + ": " + std::to_string(blob.size) + " bytes are too many");
  }
  StringSink sink;
  download_blob(session, repository, blob, 0, sink);
  verify(blob, sink.text);
  return std::move(sink.text);
}

}  // namespace registry
