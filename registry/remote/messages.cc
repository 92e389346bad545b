#include "registry/remote/messages.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

#include "base/sha256.h"
#include "base/text.h"
#include "registry/remote/channel.h"
#include "registry/remote/config_message.h"

namespace registry {
namespace {

constexpr std::size_t kMaxListEntries = 1'000'000;
constexpr std::size_t kMaxErrorText = 4096;

[[noreturn]] void throw_corrupt(const std::string& text) {
  throw base::Error(base::ErrorKind::kCorrupt, text);
}

void write_list(FieldWriter& writer, const std::vector<std::string>& list) {
  writer.number(list.size());
  for (const std::string& entry : list) writer.text(entry);
}

std::vector<std::string> read_list(FieldReader& reader) {
  const std::uint64_t count = reader.number();
  if (count > kMaxListEntries) throw_malformed();
  std::vector<std::string> list;
  for (std::uint64_t i = 0; i < count; ++i) list.push_back(reader.text());
  return list;
}

int read_int(FieldReader& reader) {
  const std::uint64_t value = reader.number();
  return static_cast<int>(
      std::min<std::uint64_t>(value, static_cast<std::uint64_t>(std::numeric_limits<int>::max())));
}

void write_int(FieldWriter& writer, int value) {
  writer.number(static_cast<std::uint64_t>(std::max(value, 0)));
}

void check_digest(std::string_view what, const std::string& hex, std::string_view bytes) {
  if (base::sha256_hex(bytes) != hex) {
    throw_corrupt("digest mismatch of the " + std::string(what));
  }
}

bool is_index_type(std::string_view type) {
  return type == oci::kOciIndex || type == oci::kDockerList;
}

// Each index must name the next, the last one the manifest.
void check_indexes(const ResolvedImage& image) {
  std::vector<std::string_view> chain = {*image.index_bytes};
  chain.insert(chain.end(), image.inner_indexes.begin(), image.inner_indexes.end());
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const auto content = oci::parse_manifest(chain[i], {});
    const auto* index = std::get_if<oci::Index>(&content);
    if (index == nullptr) throw_corrupt("an image's index is none");
    const bool is_last = i + 1 == chain.size();
    const auto next =
        is_last ? image.manifest_digest : oci::Digest::from_hex(base::sha256_hex(chain[i + 1]));
    const bool leads_there = std::any_of(
        index->manifests.begin(), index->manifests.end(), [&](const oci::Descriptor& entry) {
          return entry.digest == next && (is_last || is_index_type(entry.media_type));
        });
    if (!leads_there) throw_corrupt("an image's index does not name its manifest");
  }
}

void verify(const ResolvedImage& image, const oci::Reference& asked) {
  check_digest("manifest", image.manifest_digest.hex(), image.manifest_bytes);
  check_digest("config", image.manifest.config.digest.hex(), image.config_bytes);
  if (image.config_bytes.size() != image.manifest.config.size) {
    throw_corrupt("size mismatch of the config");
  }
  if (image.index_bytes) {
    check_digest("index", image.top_digest.hex(), *image.index_bytes);
    check_indexes(image);
  } else if (image.top_digest != image.manifest_digest || !image.inner_indexes.empty()) {
    throw_corrupt("digest mismatch of the manifest");
  }
  if (asked.digest() && *asked.digest() != image.top_digest) {
    throw_corrupt("digest mismatch: expected " + asked.digest()->str() + ", got " +
                  image.top_digest.str());
  }
}

}  // namespace

std::string encode_setup(const Setup& setup) {
  const ClientOptions& client = setup.client;
  FieldWriter writer;
  write_list(writer, client.insecure_registries);
  writer.text(client.user_agent).text(client.ca_file.string());
  write_int(writer, client.connect_timeout_ms);
  write_int(writer, client.stall_timeout_s);
  write_int(writer, client.attempts);
  write_int(writer, client.first_pause_ms);
  write_int(writer, client.longest_retry_after_s);
  writer.number(setup.trace ? 1 : 0);
  write_config(writer, client.config);
  return writer.take();
}

Setup decode_setup(std::string_view payload) {
  FieldReader reader(payload);
  Setup setup;
  ClientOptions& client = setup.client;
  client.insecure_registries = read_list(reader);
  client.user_agent = reader.text();
  client.ca_file = reader.text();
  client.connect_timeout_ms = read_int(reader);
  client.stall_timeout_s = read_int(reader);
  client.attempts = read_int(reader);
  client.first_pause_ms = read_int(reader);
  client.longest_retry_after_s = read_int(reader);
  setup.trace = reader.number() != 0;
  client.config = read_config(reader);
  reader.finish();
  return setup;
}

std::string encode_call(const Call& call) {
  FieldWriter writer;
  writer.number(static_cast<std::uint64_t>(call.kind))
      .text(call.reference)
      .text(call.platform)
      .number(call.platform_is_explicit ? 1 : 0)
      .text(call.digest)
      .number(call.size)
      .number(call.offset)
      .text(call.text)
      .text(call.bytes)
      .number(call.has_file ? 1 : 0)
      .number(call.limit)
      .text(call.credentials.username)
      .text(call.credentials.password)
      .text(call.credentials.identity_token);
  write_list(writer, call.urls);
  return writer.take();
}

Call decode_call(std::string_view payload) {
  FieldReader reader(payload);
  Call call;
  call.kind = static_cast<CallKind>(reader.number());
  call.reference = reader.text();
  call.platform = reader.text();
  call.platform_is_explicit = reader.number() != 0;
  call.digest = reader.text();
  call.size = reader.number();
  call.offset = reader.number();
  call.text = reader.text();
  call.bytes = reader.text();
  call.has_file = reader.number() != 0;
  call.limit = reader.number();
  call.credentials.username = reader.text();
  call.credentials.password = reader.text();
  call.credentials.identity_token = reader.text();
  call.urls = read_list(reader);
  reader.finish();
  return call;
}

std::string encode_image(const ResolvedImage& image) {
  FieldWriter writer;
  writer.text(image.top_digest.str())
      .text(image.manifest_digest.str())
      .text(image.manifest.media_type)
      .text(image.manifest_bytes)
      .text(image.config_bytes)
      .number(image.index_bytes ? 1 : 0)
      .text(image.index_bytes.value_or(std::string()));
  write_list(writer, image.inner_indexes);
  write_list(writer, image.warnings);
  return writer.take();
}

ResolvedImage decode_image(std::string_view payload, const oci::Reference& asked) {
  FieldReader reader(payload);
  const auto top = oci::Digest::parse(reader.text());
  const auto manifest_digest = oci::Digest::parse(reader.text());
  const std::string type = reader.text();
  std::string manifest_bytes = reader.text();
  auto content = oci::parse_manifest(manifest_bytes, type);
  if (!std::holds_alternative<oci::Manifest>(content)) throw_corrupt("an image's manifest is none");
  ResolvedImage image = {.reference = asked,
                         .top_digest = top,
                         .manifest_digest = manifest_digest,
                         .manifest_bytes = std::move(manifest_bytes),
                         .manifest = std::get<oci::Manifest>(std::move(content)),
                         .config_bytes = reader.text(),
                         .index_bytes = {},
                         .inner_indexes = {},
                         .warnings = {}};
  const bool has_index = reader.number() != 0;
  std::string index = reader.text();
  if (has_index) image.index_bytes = std::move(index);
  image.inner_indexes = read_list(reader);
  for (const std::string& warning : read_list(reader)) {
    image.warnings.push_back(base::printable(warning, kMaxErrorText));
  }
  reader.finish();
  verify(image, asked);
  return image;
}

std::string encode_manifest(const RawManifest& manifest) {
  return FieldWriter()
      .text(manifest.digest.str())
      .text(manifest.media_type)
      .text(manifest.bytes)
      .take();
}

RawManifest decode_manifest(std::string_view payload, const oci::Reference& asked) {
  FieldReader reader(payload);
  const auto digest = oci::Digest::parse(reader.text());
  RawManifest manifest{.digest = digest, .media_type = reader.text(), .bytes = reader.text()};
  reader.finish();
  check_digest("manifest", digest.hex(), manifest.bytes);
  if (asked.digest() && *asked.digest() != digest) throw_corrupt("digest mismatch of the manifest");
  return manifest;
}

std::string encode_texts(const std::vector<std::string>& texts) {
  FieldWriter writer;
  write_list(writer, texts);
  return writer.take();
}

std::vector<std::string> decode_texts(std::string_view payload) {
  FieldReader reader(payload);
  std::vector<std::string> texts = read_list(reader);
  reader.finish();
  for (std::string& text : texts) text = base::printable(text, kMaxErrorText);
  return texts;
}

std::string encode_number(std::uint64_t number) { return FieldWriter().number(number).take(); }

std::uint64_t decode_number(std::string_view payload) {
  FieldReader reader(payload);
  const std::uint64_t number = reader.number();
  reader.finish();
  return number;
}

std::string encode_error(const base::Error& error) {
  return FieldWriter()
      .number(static_cast<std::uint64_t>(error.kind()))
      .number(static_cast<std::uint64_t>(error.errno_value()))
      .text(error.what())
      .take();
}

base::Error decode_error(std::string_view payload) {
  FieldReader reader(payload);
  const std::uint64_t kind =
      std::min(reader.number(), static_cast<std::uint64_t>(base::ErrorKind::kSystem));
  const int errno_value = read_int(reader);
  const std::string text = base::printable(reader.text(), kMaxErrorText);
  return {static_cast<base::ErrorKind>(kind), text, errno_value};
}

std::string encode_question(const std::string& domain, const std::string& path) {
  return FieldWriter().text(domain).text(path).take();
}

std::string encode_answer(const std::optional<Credentials>& credentials) {
  const Credentials& known = credentials ? *credentials : Credentials();
  return FieldWriter()
      .number(credentials ? 1 : 0)
      .text(known.username)
      .text(known.password)
      .text(known.identity_token)
      .text(known.registry_token)
      .take();
}

std::optional<Credentials> decode_answer(std::string_view payload) {
  FieldReader reader(payload);
  const bool is_known = reader.number() != 0;
  Credentials credentials;
  credentials.username = reader.text();
  credentials.password = reader.text();
  credentials.identity_token = reader.text();
  credentials.registry_token = reader.text();
  reader.finish();
  return is_known ? std::optional(std::move(credentials)) : std::nullopt;
}

}  // namespace registry
