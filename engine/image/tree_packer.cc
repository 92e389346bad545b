#include "engine/image/tree_packer.h"

#include "base/files.h"
#include "storage/pack/tree_tar.h"

namespace engine {

void pack_tree(int parent_fd, const std::string& base, const std::string& name, int out_fd) {
  constexpr std::size_t kPiece = 256U << 10U;
  std::string buffer;
  const auto flush = [&] {
    base::write_all(out_fd, buffer);
    buffer.clear();
  };
  storage::TarWriter writer([&](std::string_view bytes) {
    buffer += bytes;
    if (buffer.size() >= kPiece) flush();
  });
  storage::write_tree(writer, parent_fd, base, name);
  writer.finish();
  flush();
}

}  // namespace engine
