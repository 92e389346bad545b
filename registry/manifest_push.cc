#include "registry/manifest_push.h"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"
#include "registry/blob_upload.h"
#include "registry/failure.h"
#include "registry/paging.h"

namespace registry {
namespace {

using Json = nlohmann::ordered_json;

class StringBody : public BodySource {
 public:
  explicit StringBody(std::string_view text) : text_(text) {}
  std::uint64_t size() const override { return text_.size(); }
  std::size_t read(std::uint64_t offset, char* buffer, std::size_t size) override {
    const auto at = static_cast<std::size_t>(std::min<std::uint64_t>(offset, text_.size()));
    return text_.copy(buffer, size, at);
  }

 private:
  std::string_view text_;
};

Response put_manifest(Session& session, const Repository& repository, const std::string& name,
                      std::string_view bytes, const std::string& media_type) {
  StringBody body(bytes);
  ApiRequest request{.method = Method::kPut,
                     .resource = "manifests/" + name,
                     .operation = Operation::kPush,
                     .headers = {"Content-Type: " + media_type},
                     .scopes = {push_scope(repository)}};
  request.body = &body;
  Response response = session.send(repository, request);
  if (response.status == 413 && response.is_complete()) {
    throw base::Error(
        base::ErrorKind::kInvalid,
        "the registry finds its " + std::to_string(bytes.size()) + " bytes too large");
  }
  if (!response.is_success()) throw_failure(response);
  return response;
}

// The tag under which clients keep the list where the registry does not (distribution-spec,
// Referrers Tag Schema).
std::string referrers_tag(const oci::Digest& subject) { return "sha256-" + subject.hex(); }

// The index below the referrers' tag; nullopt where there is none yet.
std::optional<std::string> find_referrers_index(Session& session, const Repository& repository,
                                                const oci::Digest& subject) {
  const ApiRequest request{.resource = "manifests/" + referrers_tag(subject),
                           .operation = Operation::kResolve,
                           .headers = {std::string("Accept: ") + oci::kOciIndex},
                           .body_limit = oci::kMaxManifestBytes};
  Response response = session.send(repository, request);
  if (response.is_complete() && response.status == 404) return std::nullopt;
  if (!response.is_success()) throw_failure(response);
  return std::move(response.body);
}

Json descriptor_of(const oci::Manifest& manifest, const oci::Digest& digest, std::string_view bytes,
                   const std::string& media_type) {
  Json entry = {{"mediaType", media_type}, {"digest", digest.str()}, {"size", bytes.size()}};
  const std::string& type =
      manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
  if (!type.empty()) entry["artifactType"] = type;
  if (!manifest.annotations.empty()) entry["annotations"] = manifest.annotations;
  return entry;
}

void add_to_referrers_tag(Session& session, const Repository& repository,
                          const oci::Digest& subject, Json entry) {
  Json index = {{"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", Json::array()}};
  if (const auto known = find_referrers_index(session, repository, subject)) {
    oci::parse_manifest(*known, oci::kOciIndex);  // refuses what is no index
    index = Json::parse(*known);
    if (!index["manifests"].is_array()) index["manifests"] = Json::array();
  }
  for (const Json& other : index["manifests"]) {
    if (other.value("digest", "") == entry["digest"]) return;
  }
  index["manifests"].push_back(std::move(entry));
  put_manifest(session, repository, referrers_tag(subject), index.dump(), oci::kOciIndex);
}

std::vector<oci::Descriptor> descriptors_in(const std::string& body) {
  const auto content = oci::parse_manifest(body, oci::kOciIndex);
  return std::get<oci::Index>(content).manifests;
}

}  // namespace

oci::Digest push_manifest(Session& session, const Repository& repository, const std::string& name,
                          std::string_view bytes, const std::string& media_type) {
  const auto digest = oci::Digest::from_hex(base::sha256_hex(bytes));
  return base::while_doing("manifest " + name, [&] {
    const Response response = put_manifest(session, repository, name, bytes, media_type);
    const std::string claimed = response.headers.find("docker-content-digest");
    if (oci::is_sha256(claimed) && claimed != digest.str()) {
      throw base::Error(base::ErrorKind::kCorrupt,
                        "the registry stored " + claimed + " in place of " + digest.str());
    }
    const auto content = oci::parse_manifest(bytes, media_type);
    const auto* manifest = std::get_if<oci::Manifest>(&content);
    if (manifest != nullptr && manifest->subject && response.headers.find("oci-subject").empty()) {
      add_to_referrers_tag(session, repository, manifest->subject->digest,
                           descriptor_of(*manifest, digest, bytes, media_type));
    }
    return digest;
  });
}

std::vector<oci::Descriptor> list_referrers(Session& session, const Repository& repository,
                                            const oci::Digest& subject,
                                            const std::string& artifact_type) {
  std::vector<oci::Descriptor> found;
  const auto add = [&](const std::string& body) {
    std::vector<oci::Descriptor> more = descriptors_in(body);
    found.insert(found.end(), more.begin(), more.end());
  };
  std::string resource = "referrers/" + subject.str();
  if (!artifact_type.empty()) resource += "?" + render_query({{"artifactType", artifact_type}});
  base::while_doing("referrers of " + subject.str(), [&] {
    const Response first = fetch_pages(session, repository, {.resource = resource}, add);
    if (first.is_success()) return;
    if (!first.is_complete() || first.status != 404) throw_failure(first);
    if (const auto body = find_referrers_index(session, repository, subject)) add(*body);
  });
  // Servers need not filter (OCI-Filters-Applied); doing it twice does no harm.
  std::erase_if(found, [&](const oci::Descriptor& entry) {
    return !artifact_type.empty() && entry.artifact_type != artifact_type;
  });
  return found;
}

std::string render_index(const std::vector<oci::Descriptor>& entries) {
  Json index = {{"schemaVersion", 2}, {"mediaType", oci::kOciIndex}, {"manifests", Json::array()}};
  for (const oci::Descriptor& entry : entries) {
    Json& json = index["manifests"].emplace_back(Json{
        {"mediaType", entry.media_type}, {"digest", entry.digest.str()}, {"size", entry.size}});
    if (!entry.artifact_type.empty()) json["artifactType"] = entry.artifact_type;
    if (!entry.annotations.empty()) json["annotations"] = entry.annotations;
  }
  return index.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace registry
