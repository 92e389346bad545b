#include "base/sha256.h"

#include <array>
#include <cassert>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/error.h"

namespace base {

struct Sha256Hasher::Context {
  CHandle<EVP_MD_CTX, EVP_MD_CTX_free> state{EVP_MD_CTX_new()};
};

Sha256Hasher::Sha256Hasher() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->state.get(), EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorKind::kUnsupported, "this OpenSSL refuses SHA-256");
  }
}
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;
Sha256Hasher::~Sha256Hasher() = default;

void Sha256Hasher::update(std::string_view bytes) {
  const int done = EVP_DigestUpdate(context_->state.get(), bytes.data(), bytes.size());
  assert(done == 1);
  static_cast<void>(done);
}

std::string Sha256Hasher::finish() {
  std::array<unsigned char, 32> digest{};
  const int done = EVP_DigestFinal_ex(context_->state.get(), digest.data(), nullptr);
  assert(done == 1);
  static_cast<void>(done);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256Hasher hasher;
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace base
