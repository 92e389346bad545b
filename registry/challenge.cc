#include "registry/challenge.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "registry/ascii.h"

namespace registry {
namespace {

// A header is at most this long and has at most so many challenges: more is no honest registry.
constexpr std::size_t kMaxChallengeBytes = 16U << 10U;
constexpr std::size_t kMaxChallenges = 16;

bool is_token_character(char c) {
  const bool is_alphanumeric =
      (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return is_alphanumeric || (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_spaces() { skip(" \t"); }
  void skip_separators() { skip(" \t,"); }
  void skip_one() { at_ += at_end() ? 0 : 1; }

  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  std::string_view take_token() {
    const std::size_t start = at_;
    while (!at_end() && is_token_character(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  // After the opening quote; a missing closing one ends with the header.
  std::string take_quoted() {
    std::string value;
    while (!at_end() && peek() != '"') {
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      value += text_[at_++];
    }
    take('"');
    return value;
  }

  // Some registries forget the quotes: up to the next comma or space.
  std::string take_bare() {
    const std::size_t start = at_;
    while (!at_end() && std::strchr(", \t", peek()) == nullptr) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  // Whether "name=" stands here, which makes it a parameter rather than a scheme. The "=" of a
  // token68 is not followed by a value.
  std::optional<std::string_view> take_parameter_name() {
    const std::size_t start = at_;
    const std::string_view name = take_token();
    skip_spaces();
    if (!name.empty() && take('=')) {
      skip_spaces();
      return name;
    }
    at_ = start;
    return std::nullopt;
  }

 private:
  void skip(const char* characters) {
    while (!at_end() && peek() != '\0' && std::strchr(characters, peek()) != nullptr) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void parse_parameters(Scanner& scanner, Challenge& challenge) {
  for (;;) {
    scanner.skip_separators();
    const auto name = scanner.take_parameter_name();
    if (!name) return;
    std::string value = scanner.take('"') ? scanner.take_quoted() : scanner.take_bare();
    challenge.parameters.emplace(to_lower(*name), std::move(value));  // the first of a name counts
  }
}

void parse_header(std::string_view header, std::vector<Challenge>& challenges) {
  Scanner scanner(header);
  while (!scanner.at_end() && challenges.size() < kMaxChallenges) {
    scanner.skip_separators();
    Challenge challenge;
    challenge.scheme = to_lower(scanner.take_token());
    if (challenge.scheme.empty()) {
      scanner.skip_one();
      continue;
    }
    parse_parameters(scanner, challenge);
    challenges.push_back(std::move(challenge));
  }
}

}  // namespace

std::string Challenge::parameter(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers) {
  std::vector<Challenge> challenges;
  for (const std::string& header : headers) {
    parse_header(std::string_view(header).substr(0, kMaxChallengeBytes), challenges);
  }
  return challenges;
}

const Challenge* find_best(const std::vector<Challenge>& challenges) {
  for (const char* scheme : {"bearer", "basic"}) {
    for (const Challenge& challenge : challenges) {
      // Without a realm there is no server to ask for a token.
      const bool is_usable = challenge.scheme == "basic" || challenge.parameters.contains("realm");
      if (challenge.scheme == scheme && is_usable) return &challenge;
    }
  }
  return nullptr;
}

std::string join_scopes(const std::vector<std::string>& scopes) {
  std::string text;
  for (const std::string& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

std::vector<std::string> split_scopes(std::string_view scopes) {
  std::vector<std::string> list;
  while (!scopes.empty()) {
    const std::size_t end = std::min(scopes.find(' '), scopes.size());
    if (end > 0) list.emplace_back(scopes.substr(0, end));
    scopes.remove_prefix(std::min(end + 1, scopes.size()));
  }
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::vector<std::string> merge_scopes(const std::vector<std::string>& scopes) {
  std::map<std::string, std::set<std::string>> actions;  // by type and name
  for (const std::string& scope : scopes) {
    // A name may hold a colon (host:port): the last one ends it.
    const std::size_t colon = scope.rfind(':');
    if (colon == std::string::npos) continue;
    std::set<std::string>& known = actions[scope.substr(0, colon)];
    for (std::size_t at = colon; at != std::string::npos;) {
      const std::size_t next = scope.find(',', at + 1);
      known.insert(scope.substr(at + 1, next == std::string::npos ? next : next - at - 1));
      at = next;
    }
  }
  std::vector<std::string> merged;
  for (const auto& [resource, words] : actions) {
    std::string scope = resource + ":";
    for (const std::string& word : words) scope += (scope.back() == ':' ? "" : ",") + word;
    merged.push_back(std::move(scope));
  }
  return merged;
}

}  // namespace registry
