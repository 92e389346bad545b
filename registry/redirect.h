// Redirects: any answer of a registry may be one; followed by our rules rather than libcurl's.
#pragma once

#include <functional>
#include <string>

#include "registry/http.h"
#include "registry/transport.h"

namespace registry {

// The reason why a redirect to this address must not be followed, else empty.
using RedirectCheck = std::function<std::string(const Url&)>;

// As Transport::exchange, through at most 10 redirects. Authorization never leaves the origin of
// `request` (distribution-spec, API) and is not taken up again on the way back; https never becomes
// http; a form is not repeated elsewhere, since it holds credentials. What is not a GET or HEAD is
// repeated only where the status says so (307, 308), with its whole body. A redirect that is not
// followed gives Failure::kRefused.
Response exchange_following(Transport& transport, Request request, BodyReceiver* receiver,
                            const RedirectCheck& check = nullptr);

}  // namespace registry
