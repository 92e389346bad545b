// Challenge: what a WWW-Authenticate header asks for (RFC 9110, section 11; distribution's token
// specification).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace registry {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case, values unquoted

  std::string parameter(const std::string& name) const;  // empty where there is none
};

// All challenges of all header instances, in order. What can't be read is skipped up to the next
// challenge; this never throws, since one odd challenge must not hide a usable one.
std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers);

// Bearer before Basic; null where there is neither.
const Challenge* find_best(const std::vector<Challenge>& challenges);

// "repository:a:pull repository:b:pull,push" taken apart at its spaces, sorted, without duplicates.
std::vector<std::string> split_scopes(std::string_view scopes);
// As they are, with spaces between.
std::string join_scopes(const std::vector<std::string>& scopes);

// The same rights as a list without duplicates, sorted: "repository:a:pull" and
// "repository:a:push" are "repository:a:pull,push" (token specification, scopes).
std::vector<std::string> merge_scopes(const std::vector<std::string>& scopes);

}  // namespace registry
