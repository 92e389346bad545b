#include "registry/blob_upload.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"
#include "registry/content_range.h"
#include "registry/failure.h"

namespace registry {
namespace {

// Where a registry (or a proxy in front of it) finds the whole too large.
constexpr std::uint64_t kSmallChunkBytes = 8U << 20U;
// No registry asks for more; one that lies must not make us send what it can't take.
constexpr std::uint64_t kLargestMinimum = 1U << 30U;

// The bytes of `content` from `first` up to `end`.
class Part : public BodySource {
 public:
  Part(BodySource& content, std::uint64_t first, std::uint64_t end, const UploadProgress& report)
      : content_(content), first_(first), end_(end), report_(report) {}
  std::uint64_t size() const override { return end_ - first_; }
  std::size_t read(std::uint64_t offset, char* buffer, std::size_t size) override {
    const std::uint64_t at = std::min(first_ + offset, end_);
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - at));
    const std::size_t count = wanted == 0 ? 0 : content_.read(at, buffer, wanted);
    if (count == 0 && wanted > 0) {
      throw base::Error(base::ErrorKind::kCorrupt, "the blob's file became shorter");
    }
    if (report_) report_(at + count);
    return count;
  }

 private:
  BodySource& content_;
  std::uint64_t first_, end_;
  const UploadProgress& report_;
};

// How many bytes an upload has: "0-999" (distribution-spec, without "bytes"), also with it.
std::optional<std::uint64_t> parse_received(std::string text) {
  for (const char* prefix : {"bytes=", "bytes "}) {
    if (text.starts_with(prefix)) text.erase(0, 6);
  }
  if (!text.starts_with("0-")) return std::nullopt;
  const auto last = parse_length(std::string_view(text).substr(2));
  return last ? std::optional(*last + 1) : std::nullopt;
}

class Upload {
 public:
  Upload(Session& session, const Repository& repository, const BlobUpload& blob,
         BodySource* content, const UploadProgress& report)
      : session_(session),
        repository_(repository),
        blob_(blob),
        content_(content),
        report_(report),
        chunk_bytes_(blob.chunk_bytes),
        budget_(session.retrier().make_budget()) {}

  PushedBlob run() {
    if (is_there()) return PushedBlob::kExists;
    if (content_ == nullptr && blob_.mount_from.empty()) return PushedBlob::kAbsent;
    if (begin(blob_.mount_from)) return PushedBlob::kMounted;
    if (content_ == nullptr) {
      abandon();
      return PushedBlob::kAbsent;
    }
    try {
      while (!send_next()) {
      }
    } catch (...) {
      abandon();
      throw;
    }
    return PushedBlob::kUploaded;
  }

 private:
  ApiRequest make_request(Method method) const {
    return {.method = method,
            .operation = Operation::kPush,
            .url = location_,
            .scopes = {push_scope(repository_)}};
  }

  bool is_there() {
    ApiRequest request = make_request(Method::kHead);
    request.resource = "blobs/" + blob_.digest.str();
    const Response response = session_.send(repository_, request);
    // A refusal of HEAD has no body: the upload's own answer tells the reason.
    return response.is_success();
  }

  // Opens an upload; true where a mount made it superfluous.
  bool begin(const std::string& from) {
    location_.reset();
    position_ = 0;
    ApiRequest request = make_request(Method::kPost);
    request.resource = "blobs/uploads/";
    if (!from.empty()) {
      request.resource += "?" + render_query({{"mount", blob_.digest.str()}, {"from", from}});
      request.scopes.push_back("repository:" + from + ":pull");
    }
    Response response;
    try {
      response = session_.send(repository_, request);
    } catch (const base::Error& error) {
      // A token server may refuse both rights for the lack of one.
      if (from.empty() || error.kind() != base::ErrorKind::kUnauthorized) throw;
      return begin({});
    }
    if (!from.empty() && response.status == 201) return true;
    if (!response.is_success()) {
      if (!from.empty() && response.status >= 400 && response.status < 500) return begin({});
      throw_failure(response);
    }
    // 202 for a mount: an upload was opened in its place.
    const auto minimum = parse_length(response.headers.find("oci-chunk-min-length"));
    minimum_ = std::min(minimum.value_or(0), kLargestMinimum);
    follow(response);
    return false;
  }

  // Where the upload goes on: absolute or relative, with parameters that must be kept.
  void follow(const Response& response) {
    const std::string location = response.headers.find("location");
    if (location.empty()) {
      if (location_) return;
      throw base::Error(base::ErrorKind::kInvalid,
                        "the registry opened an upload without Location");
    }
    location_ = session_.resolve_upload(response.url, location);
  }

  Url closing_url() const { return with_query(*location_, {{"digest", blob_.digest.str()}}); }

  // One request of the upload; true where it was the last.
  bool send_next() {
    const bool is_whole = position_ == 0 && chunk_bytes_ == 0;
    const bool is_last = is_whole || position_ == content_->size();
    const std::uint64_t step = std::max({chunk_bytes_, minimum_, std::uint64_t{1}});
    const bool is_resumed = chunk_bytes_ == 0 && position_ > 0;
    const std::uint64_t end = is_whole || is_resumed || content_->size() - position_ <= step
                                  ? content_->size()
                                  : position_ + step;
    Part part(*content_, position_, end, report_);
    ApiRequest request = make_request(is_last ? Method::kPut : Method::kPatch);
    request.headers = {"Content-Type: application/octet-stream"};
    if (is_last) request.url = closing_url();
    if (!is_last) {
      request.headers.push_back("Content-Range: " + std::to_string(position_) + "-" +
                                std::to_string(end - 1));
    }
    if (part.size() > 0) request.body = &part;
    const Response response = session_.attempt(repository_, request, nullptr);
    if (!response.is_success()) {
      recover(response, is_whole);
      return false;
    }
    if (is_last) {
      check_digest(response);
      return true;
    }
    follow(response);
    const auto received = parse_received(response.headers.find("range")).value_or(end);
    if (received > end) throw_lie();
    if (received > position_) budget_.reset();
    position_ = received;
    return false;
  }

  // Throws where there is no point in going on.
  void recover(const Response& response, bool was_whole) {
    base::trace("registry", "upload of " + blob_.digest.str() + ": " + describe(response));
    if (response.status == 413 && was_whole) {
      chunk_bytes_ = kSmallChunkBytes;
      begin_again();
      return;
    }
    const bool is_lost = response.is_complete() && response.status == 404;
    const bool is_misplaced = response.is_complete() && response.status == 416;
    const bool is_spoilt = response.status == 400 && std::exchange(was_resumed_, false);
    if (!is_lost && !is_misplaced && !is_spoilt) {
      if (!session_.retrier().wait_for_next(response, budget_)) throw_failure(response);
    } else if (!session_.retrier().pause(response, budget_)) {
      throw_failure(response);
    }
    if (is_lost || is_spoilt || !find_position()) begin_again();
  }

  void begin_again() { begin({}); }

  // Asks how much has arrived; false where the upload is no more.
  bool find_position() {
    const Response response = session_.send(repository_, make_request(Method::kGet));
    if (!response.is_success()) return false;
    follow(response);
    const std::string range = response.headers.find("range");
    // "0-0" is how registries say "nothing" as well as "one byte".
    const std::uint64_t received = range == "0-0" ? 0 : parse_received(range).value_or(0);
    if (received > content_->size()) throw_lie();
    position_ = received;
    was_resumed_ = received > 0;
    return true;
  }

  void check_digest(const Response& response) const {
    const std::string claimed = response.headers.find("docker-content-digest");
    if (claimed.empty() || !oci::is_sha256(claimed) || claimed == blob_.digest.str()) return;
    throw base::Error(base::ErrorKind::kCorrupt, "the registry stored " + claimed);
  }

  // A registry throws away what nobody goes on with, sooner or later; this is sooner.
  void abandon() noexcept {
    try {
      if (location_) session_.attempt(repository_, make_request(Method::kDelete), nullptr);
    } catch (const base::Error&) {  // the reason to abandon it is the one to be told
    }
  }

  [[noreturn]] static void throw_lie() {
    throw base::Error(base::ErrorKind::kCorrupt, "the registry claims more bytes than were sent");
  }

  Session& session_;
  const Repository& repository_;
  const BlobUpload& blob_;
  BodySource* content_;
  const UploadProgress& report_;
  std::uint64_t chunk_bytes_;
  std::uint64_t minimum_ = 0;
  std::uint64_t position_ = 0;  // what has arrived, as far as we know
  bool was_resumed_ = false;
  std::optional<Url> location_;
  RetryBudget budget_;
};

}  // namespace

std::string push_scope(const Repository& repository) {
  return "repository:" + repository.path + ":pull,push";
}

PushedBlob upload_blob(Session& session, const Repository& repository, const BlobUpload& blob,
                       BodySource* content, const UploadProgress& on_progress) {
  return base::while_doing("blob " + blob.digest.str(), [&] {
    return Upload(session, repository, blob, content, on_progress).run();
  });
}

}  // namespace registry
