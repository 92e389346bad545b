#include "storage/pack/deflate/token_encoder.h"

#include <algorithm>

#include "storage/pack/deflate/go_chain_encoder.h"
#include "storage/pack/deflate/go_fast_encoder.h"
#include "storage/pack/deflate/klauspost_encoder.h"

namespace storage {

using Kind = EncoderChoice::Kind;

std::string render_encoder(EncoderChoice choice) {
  const char* const name = choice.kind == Kind::kGo          ? "go-"
                           : choice.kind == Kind::kKlauspost ? "klauspost-"
                                                             : "pgzip-";
  return name + std::to_string(choice.level);
}

// docker's and podman's defaults, then what go-containerregistry (kaniko, ko, crane) and eStargz
// use, then what nobody does without being told.
std::vector<EncoderChoice> known_encoders() {
  return {{Kind::kGo, 6},        {Kind::kPgzip, 5}, {Kind::kGo, 1}, {Kind::kGo, 9},
          {Kind::kKlauspost, 5}, {Kind::kGo, 5},    {Kind::kGo, 4}, {Kind::kGo, 7},
          {Kind::kGo, 3},        {Kind::kGo, 2},    {Kind::kGo, 8}};
}

std::unique_ptr<TokenEncoder> make_token_encoder(EncoderChoice choice) {
  const std::vector<EncoderChoice> known = known_encoders();
  if (std::find(known.begin(), known.end(), choice) == known.end()) return nullptr;
  if (choice.kind == Kind::kPgzip) {
    return std::make_unique<KlauspostEncoder>(KlauspostEncoder::Segments::kIndependent);
  }
  if (choice.kind == Kind::kKlauspost) {
    return std::make_unique<KlauspostEncoder>(KlauspostEncoder::Segments::kContinued);
  }
  if (choice.level == 1) return std::make_unique<GoFastEncoder>();
  return std::make_unique<GoChainEncoder>(choice.level);
}

}  // namespace storage
