#include "registry/paging.h"

#include <set>
#include <utility>

#include "base/error.h"
#include "oci/json_value.h"
#include "registry/failure.h"

namespace registry {
namespace {

constexpr int kMaxPages = 100'000;
constexpr std::size_t kMaxPageBytes = 16U << 20U;

// What ends a list early, from inside of a page.
struct Enough {};

std::vector<std::string> strings_in(const std::string& body, const char* member) {
  const oci::JsonDocument document(body, {.bytes = kMaxPageBytes});
  std::vector<std::string> names;
  document.root()[member].read(names);  // null where there are none
  return names;
}

}  // namespace

std::string parse_next_query(const std::string& header) {
  for (std::size_t at = 0; (at = header.find('<', at)) != std::string::npos;) {
    const std::size_t end = header.find('>', at);
    if (end == std::string::npos) return {};
    const std::string target = header.substr(at + 1, end - at - 1);
    const std::string parameters = header.substr(end, header.find('<', end) - end);
    at = end;
    if (parameters.find("rel=\"next\"") == std::string::npos &&
        parameters.find("rel=next") == std::string::npos) {
      continue;
    }
    const std::size_t query = target.find('?');
    return query == std::string::npos ? std::string() : target.substr(query + 1);
  }
  return {};
}

Response fetch_pages(Session& session, const Repository& repository, ApiRequest request,
                     const std::function<void(const std::string&)>& take) {
  request.operation = Operation::kResolve;
  request.body_limit = kMaxPageBytes;
  const std::string path = request.resource.substr(0, request.resource.find('?'));
  std::set<std::string> seen;
  for (int page = 0;; ++page) {
    const Response response = session.send(repository, request);
    if (!response.is_success()) {
      if (page == 0) return response;
      throw_failure(response);
    }
    take(response.body);
    const std::string next = parse_next_query(response.headers.find("link"));
    if (next.empty()) return response;
    if (page == kMaxPages || !seen.insert(next).second) {
      throw base::Error(base::ErrorKind::kInvalid,
                        response.url.authority() + ": its pages have no end");
    }
    request.resource = path + "?" + next;
  }
}

std::vector<std::string> list_tags(Session& session, const Repository& repository) {
  std::vector<std::string> tags;
  const auto take = [&](const std::string& body) {
    std::vector<std::string> page = strings_in(body, "tags");
    tags.insert(tags.end(), page.begin(), page.end());
  };
  const Response first = fetch_pages(session, repository, {.resource = "tags/list"}, take);
  if (!first.is_success()) throw_failure(first);
  return tags;
}

void list_repositories(Session& session, const Repository& registry,
                       const std::function<bool(const std::string&)>& take) {
  const Repository whole{.domain = registry.domain, .api_host = registry.api_host, .path = {}};
  const auto take_page = [&](const std::string& body) {
    for (const std::string& name : strings_in(body, "repositories")) {
      if (!take(name)) throw Enough();
    }
  };
  try {
    const Response first = fetch_pages(
        session, whole, {.resource = "_catalog", .scopes = {"registry:catalog:*"}}, take_page);
    if (!first.is_success()) throw_failure(first);
  } catch (const Enough&) {
  }
}

}  // namespace registry
