// Reference: a name of an image as docker reads and normalises it (distribution/reference).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "oci/digest.h"

namespace oci {

class Reference {
 public:
  // Familiar or full: "alpine", "localhost:5000/a/b:v1", "x@sha256:…". Without tag and digest the
  // tag becomes "latest". With both, the tag is kept for display but the digest decides. Throws
  // kInvalid.
  static Reference parse(std::string_view text);

  const std::string& domain() const { return domain_; }  // "docker.io", "localhost:5000"
  const std::string& path() const { return path_; }      // "library/alpine"
  const std::optional<std::string>& tag() const { return tag_; }
  const std::optional<Digest>& digest() const { return digest_; }

  std::string repository() const { return domain_ + "/" + path_; }
  std::string str() const;                  // full: "docker.io/library/alpine:3.19"
  std::string familiar() const;             // as docker shows it: "alpine:3.19"
  std::string familiar_repository() const;  // "alpine"
  // Where the registry's API answers: docker.io's is registry-1.docker.io.
  std::string api_host() const;
  // What to put after /manifests/: the digest where there is one, else the tag.
  std::string manifest_name() const;
  Reference with_tag(std::string tag) const;
  Reference with_digest(Digest digest) const;

  friend bool operator==(const Reference&, const Reference&) = default;

 private:
  Reference() = default;
  std::string domain_;
  std::string path_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

}  // namespace oci
