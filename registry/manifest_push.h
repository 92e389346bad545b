// Manifest push: manifests and indexes into a repository, byte for byte, and what refers to them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/digest.h"
#include "oci/manifest.h"
#include "registry/repository.h"
#include "registry/session.h"

namespace registry {

// `name` is a tag or the manifest's own digest. Where the manifest has a `subject` that the
// registry does not keep track of, the referrers' tag is written as well (distribution-spec,
// Pushing Manifests with Subject). Throws.
oci::Digest push_manifest(Session& session, const Repository& repository, const std::string& name,
                          std::string_view bytes, const std::string& media_type);

// The descriptors of manifests whose subject is `subject`; all of them, however many pages. An
// empty `artifact_type` takes every type. Registries without that API are asked for the tag in
// place of it.
std::vector<oci::Descriptor> list_referrers(Session& session, const Repository& repository,
                                            const oci::Digest& subject,
                                            const std::string& artifact_type);

// An image index of these, as a registry answers the question for referrers.
std::string render_index(const std::vector<oci::Descriptor>& entries);

}  // namespace registry
