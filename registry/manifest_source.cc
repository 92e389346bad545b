#include "registry/manifest_source.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/sha256.h"
#include "base/trace.h"
#include "registry/ascii.h"
#include "registry/blob_download.h"
#include "registry/failure.h"

namespace registry {
namespace {

const std::string& accept_header() {
  static const std::string line = std::string("Accept: ") + oci::kOciIndex + ", " +
                                  oci::kOciManifest + ", " + oci::kDockerList + ", " +
                                  oci::kDockerManifest;
  return line;
}

std::string shown_name(const oci::Reference& reference) { return reference.familiar(); }

[[noreturn]] void throw_denied(const oci::Reference& reference, const std::string& cause) {
  throw base::Error(base::ErrorKind::kUnauthorized,
                    "pull access denied for " + reference.familiar_repository() +
                        ", repository does not exist or may require 'docker login': " + cause);
}

[[noreturn]] void throw_not_served(const oci::Reference& reference, const Response& response) {
  switch (kind_of(response)) {
    case base::ErrorKind::kUnauthorized:
      throw_denied(reference, describe(response));
    case base::ErrorKind::kNotFound: {
      const bool has_no_name = find_error_code(response) == "NAME_UNKNOWN";
      throw base::Error(base::ErrorKind::kNotFound,
                        (has_no_name ? "repository " + reference.familiar_repository()
                                     : "manifest for " + shown_name(reference)) +
                            " not found: " + describe(response));
    }
    default:
      throw_failure(response);
  }
}

// The digest that the registry claims; nullopt where it claims none, or one that we can't check.
std::optional<oci::Digest> claimed_digest(const Response& response) {
  const std::string text = response.headers.find("docker-content-digest");
  return oci::is_sha256(text) ? std::optional(oci::Digest::parse(text)) : std::nullopt;
}

}  // namespace

std::string read_content_type(const std::string& header) {
  std::string type = header.substr(0, header.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.pop_back();
  type = to_lower(type);
  if (type == "application/vnd.docker.distribution.manifest.v1+json" ||
      type == "application/vnd.docker.distribution.manifest.v1+prettyjws") {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "the registry serves it as schema 1 only, which is no longer supported");
  }
  static constexpr std::array kSayNothing = {"application/json", "application/octet-stream",
                                             "binary/octet-stream", "text/plain", "text/json"};
  const bool says_nothing =
      std::find(kSayNothing.begin(), kSayNothing.end(), type) != kSayNothing.end();
  return says_nothing ? std::string() : type;
}

ManifestSource::ManifestSource(Session& session, const oci::Reference& reference)
    : session_(session), reference_(reference), repository_(Repository::of(reference)) {}

Response ManifestSource::fetch(Method method, const std::string& name, std::size_t limit) {
  const bool is_digest = name.starts_with("sha256:");
  const ApiRequest request{.method = method,
                           .resource = "manifests/" + name,
                           .operation = is_digest ? Operation::kPull : Operation::kResolve,
                           .headers = {accept_header()},
                           .body_limit = limit,
                           // A mirror that has something else does not have it.
                           .check = [&](const Response& response) {
                             return !is_digest || method == Method::kHead ||
                                    "sha256:" + base::sha256_hex(response.body) == name;
                           }};
  try {
    return session_.send(repository_, request);
  } catch (const base::Error& error) {  // credentials or tokens that can't be had
    if (error.kind() != base::ErrorKind::kUnauthorized) throw;
    throw_denied(reference_, error.what());
  }
}

FetchedManifest ManifestSource::load_top() {
  const base::TraceStep step("registry", "manifest " + reference_.str());
  const Response response = fetch(Method::kGet, reference_.manifest_name(), oci::kMaxManifestBytes);
  if (!response.is_success()) throw_not_served(reference_, response);
  return base::while_doing("manifest for " + shown_name(reference_), [&]() -> FetchedManifest {
    const auto digest = oci::Digest::from_hex(base::sha256_hex(response.body));
    const auto expected = reference_.digest() ? reference_.digest() : claimed_digest(response);
    if (expected && *expected != digest) {
      throw base::Error(base::ErrorKind::kCorrupt,
                        "digest mismatch: expected " + expected->str() + ", got " + digest.str());
    }
    const std::string type = read_content_type(response.headers.find("content-type"));
    return {.digest = digest,
            .bytes = response.body,
            .content = oci::parse_manifest(response.body, type)};
  });
}

FetchedManifest ManifestSource::load(const oci::Descriptor& descriptor) {
  const std::string name = descriptor.digest.str();
  return base::while_doing("manifest " + name, [&]() -> FetchedManifest {
    if (descriptor.size > oci::kMaxManifestBytes) {
      throw base::Error(base::ErrorKind::kInvalid,
                        std::to_string(descriptor.size) + " bytes are too many");
    }
    std::string bytes;
    if (descriptor.data) {
      bytes = *descriptor.data;
    } else {
      Response response = fetch(Method::kGet, name, static_cast<std::size_t>(descriptor.size));
      if (!response.is_success()) throw_failure(response);
      bytes = std::move(response.body);
    }
    verify(descriptor, bytes);
    auto content = oci::parse_manifest(bytes, descriptor.media_type);
    return {.digest = descriptor.digest, .bytes = std::move(bytes), .content = std::move(content)};
  });
}

std::optional<oci::Digest> ManifestSource::find_digest() {
  const Response response =
      fetch(Method::kHead, reference_.manifest_name(), oci::kMaxManifestBytes);
  if (!response.is_complete()) throw_not_served(reference_, response);
  return response.is_success() ? claimed_digest(response) : std::nullopt;
}

}  // namespace registry
