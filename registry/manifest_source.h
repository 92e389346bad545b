// ManifestSource: manifests and indexes of one repository, verified and parsed.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "oci/manifest.h"
#include "oci/reference.h"
#include "registry/repository.h"
#include "registry/session.h"

namespace registry {

struct FetchedManifest {
  oci::Digest digest;
  std::string bytes;  // as served
  std::variant<oci::Manifest, oci::Index> content;
};

class ManifestSource {
 public:
  // `session` must live longer than this.
  ManifestSource(Session& session, const oci::Reference& reference);

  // What the reference names. Throws with docker's words where the registry does not have it.
  FetchedManifest load_top();
  // What an index names; the descriptor's media type rules over the header's (image-spec, media
  // type conflicts). Its `data` saves the request.
  FetchedManifest load(const oci::Descriptor& descriptor);
  // By HEAD. nullopt where that does not tell: not allowed, no digest, no reason for a refusal.
  std::optional<oci::Digest> find_digest();

  const Repository& repository() const { return repository_; }

 private:
  Response fetch(Method method, const std::string& name, std::size_t limit);

  Session& session_;
  oci::Reference reference_;
  Repository repository_;
};

// The media type of a Content-Type header; empty where it says nothing about the content, as
// "application/json" and "application/octet-stream" do. Throws kInvalid for schema 1.
std::string read_content_type(const std::string& header);

}  // namespace registry
