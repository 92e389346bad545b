// Resolver: from a reference, through indexes, to the manifest and config for one platform.
#pragma once

#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/client.h"
#include "registry/session.h"

namespace registry {

ResolvedImage resolve_image(Session& session, const oci::Reference& reference,
                            const oci::Platform& platform, Client::PlatformChoice choice);

}  // namespace registry
