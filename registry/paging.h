// Paging: lists that a registry serves in pieces, each with a Link to the next.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "registry/repository.h"
#include "registry/session.h"

namespace registry {

// The query of the address in `Link: <…>; rel="next"` (RFC 8288); empty where there is none. Only
// the query: behind proxies the rest is often wrong, and it must not lead anywhere else.
std::string parse_next_query(const std::string& header);

// Fetches the first page and all that follow; `take` gets each body. Gives the first page's answer
// where it is no success; throws where a later one is none, and where the pages have no end.
Response fetch_pages(Session& session, const Repository& repository, ApiRequest request,
                     const std::function<void(const std::string&)>& take);

// The tags of a repository, in the registry's order. Throws with docker's words.
std::vector<std::string> list_tags(Session& session, const Repository& repository);

// The names of a registry's repositories, as far as it tells them; `take` gives false when it has
// enough.
void list_repositories(Session& session, const Repository& registry,
                       const std::function<bool(const std::string&)>& take);

}  // namespace registry
