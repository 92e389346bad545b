// Inflater: undoes a layer's compression block by block; which one it is, the bytes decide.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace storage {

// Where inflated bytes go: the inflater writes straight into its space.
class InflateOutput {
 public:
  virtual ~InflateOutput() = default;
  virtual std::span<char> space() = 0;         // never empty
  virtual void produce(std::size_t size) = 0;  // the first `size` bytes of it are filled
};

// Media types lie about compression in real images, so the first bytes choose: gzip (any number of
// members; bytes behind the last one that start no member are ignored), zstd (any number of frames,
// skippable ones too, windows up to 128 MiB) or none. Throws kCorrupt on damage, kUnsupported on
// xz, bzip2 and larger windows.
class Inflater {
 public:
  Inflater();
  ~Inflater();

  void write(std::string_view input, InflateOutput& output);  // takes all of it
  // The input is complete: throws kCorrupt where the stream is not.
  void finish(InflateOutput& output);

  struct Codec;

 private:
  void choose_codec();

  std::string head_;  // held back until the format is known
  std::unique_ptr<Codec> codec_;
};

}  // namespace storage
