// Endpoint: one server that answers for a repository, and how far it may be trusted.
#pragma once

#include <string>
#include <vector>

#include "registry/repository.h"
#include "registry/url.h"

namespace registry {

struct ClientCertificate {
  std::string certificate, key;  // PEM
};

struct TlsSettings {
  std::vector<std::string> authorities;  // PEM; trusted beside the system's
  std::vector<ClientCertificate> clients;
  bool skip_verify = false;

  bool says_something() const { return !authorities.empty() || !clients.empty() || skip_verify; }
};

// What is asked of a server: mirrors may be good for some of it only.
enum class Operation {
  kPull,     // content by its digest
  kResolve,  // what a tag names
  kPush,
};

struct Endpoint {
  Url base;  // scheme, host, port; its target is what stands before the repository: "/v2/"
  Repository repository;      // at this server: names the credentials and the scope of tokens
  bool is_mirror = false;     // a failure leads to the next endpoint
  bool may_use_http = false;  // where TLS is not spoken there
  std::string name_space;     // of `?ns=`: the registry for which a mirror is asked; empty: none
  TlsSettings tls;
  std::vector<std::string> headers;  // "Name: value", for this server only
  int connect_timeout_ms = 0;        // 0: the client's
};

}  // namespace registry
