#include "registry/redirect.h"

#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"

namespace registry {
namespace {

constexpr int kMaxHops = 10;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string why_not(const Request& request, int status, const Url& next,
                    const RedirectCheck& check) {
  if (request.url.is_https() && !next.is_https()) return "from https to http";
  // 301 to 303 would make a GET of it (RFC 9110, section 15.4).
  const bool keeps_method = status == 307 || status == 308;
  const bool only_reads = request.method == Method::kGet || request.method == Method::kHead;
  if (!request.form.empty() && !(keeps_method && is_same_origin(request.url, next))) {
    return "of a request with credentials";
  }
  if (!only_reads && !keeps_method) return "of a request that changes something";
  return check ? check(next) : std::string();
}

Response refused(Response response, const std::string& reason) {
  response.failure = Failure::kRefused;
  response.cause = response.url.authority() + ": redirect refused: " + reason;
  return response;
}

}  // namespace

Response exchange_following(Transport& transport, Request request, BodyReceiver* receiver,
                            const RedirectCheck& check) {
  const Url asked = request.url;
  for (int hop = 0;; ++hop) {
    Response response = transport.exchange(request, receiver);
    response.is_from_elsewhere = !is_same_origin(asked, response.url);
    if (!response.is_complete() || !is_redirect(response.status)) return response;
    const std::string location = response.headers.find("location");
    if (location.empty()) return refused(std::move(response), "no Location");
    if (hop == kMaxHops) return refused(std::move(response), "too many of them");
    Url next;
    try {
      next = request.url.resolve(location);
    } catch (const base::Error& error) {
      return refused(std::move(response), error.what());
    }
    if (const std::string reason = why_not(request, response.status, next, check);
        !reason.empty()) {
      return refused(std::move(response),
                     reason + ": " + next.scheme + "://" + base::printable(next.authority()));
    }
    if (!is_same_origin(request.url, next)) {
      request.authorization.clear();
      request.origin_headers.clear();
    }
    base::trace("registry", "redirected to " + next.scheme + "://" + next.authority());
    request.url = std::move(next);
  }
}

}  // namespace registry
