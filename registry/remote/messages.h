// Messages: what is said to sampan-registry and what it answers, as payloads of frames.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "registry/client.h"
#include "registry/credentials.h"

namespace registry {

// The first message to the program, by somebody whom it trusts.
struct Setup {
  ClientOptions client;  // but for docker_config and ask_credentials: see the broker
  bool trace = false;
};
std::string encode_setup(const Setup& setup);
Setup decode_setup(std::string_view payload);

// One call. What a kind does not need stays as it is.
enum class CallKind : std::uint64_t {
  kResolve = 1,
  kFindDigest = 2,
  kFetchBlob = 3,
  kFetchManifest = 4,
  kPushBlob = 5,  // a byte with the descriptor of the blob's file follows, where there is one
  kPushManifest = 6,
  kListTags = 7,
  kListRepositories = 8,
  kListReferrers = 9,
  kLogIn = 10,
  kFetchUrl = 11,
};
struct Call {
  CallKind kind = CallKind::kResolve;
  std::string reference;
  std::string platform;  // kResolve; OS/ARCHITECTURE[/VARIANT]
  bool platform_is_explicit = false;
  std::string digest;  // kFetchBlob, with the next two; kPushBlob
  std::uint64_t size = 0, offset = 0;
  std::vector<std::string> urls;  // kFetchBlob: where else it may be fetched from
  // kPushBlob: where to mount from; kPushManifest: the media type; kListReferrers: the artifacts'
  // type; kListRepositories: a part of the name; kFetchUrl: the address
  std::string text;
  std::string bytes;        // kPushManifest
  bool has_file = false;    // kPushBlob
  std::uint64_t limit = 0;  // kPushBlob, kFetchUrl: bytes; kListRepositories: how many names
  Credentials credentials;  // kLogIn, for the registry that `reference` names
};
std::string encode_call(const Call& call);
Call decode_call(std::string_view payload);

// An image, with nothing of it believed: decode_image() parses the bytes once more and throws
// kCorrupt where a digest is not that of its bytes, or where these are not what was asked for.
std::string encode_image(const ResolvedImage& image);
ResolvedImage decode_image(std::string_view payload, const oci::Reference& asked);

// As fetched by Client::fetch_manifest; throws kCorrupt where the digest is not that of the bytes
// or not the one that was asked for.
std::string encode_manifest(const RawManifest& manifest);
RawManifest decode_manifest(std::string_view payload, const oci::Reference& asked);

std::string encode_texts(const std::vector<std::string>& texts);
std::vector<std::string> decode_texts(std::string_view payload);  // fit for a terminal

std::string encode_number(std::uint64_t number);
std::uint64_t decode_number(std::string_view payload);

std::string encode_error(const base::Error& error);
base::Error decode_error(std::string_view payload);  // its text is fit for a terminal

// The broker of credentials.
std::string encode_question(const std::string& domain, const std::string& path);
std::string encode_answer(const std::optional<Credentials>& credentials);
std::optional<Credentials> decode_answer(std::string_view payload);

}  // namespace registry
