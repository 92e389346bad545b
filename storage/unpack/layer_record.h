// LayerRecord: what a layer's directory can't know by itself because it depends on the layers
// below; kept beside it.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace storage {

struct LayerRecord {
  // Directories that exist only because something below them has an entry; "" is the root. In the
  // directory of the layer they are root's with mode 0755; over another layer they take its
  // directory's attributes.
  std::vector<std::string> implied;
  // Hard links to files that are not in this layer.
  struct Link {
    std::string path, target;
    friend bool operator==(const Link&, const Link&) = default;
  };
  std::vector<Link> links;
  // The root hides everything below: overlayfs looks for no such mark on the root of a layer.
  bool root_opaque = false;
  // Directories with whiteouts. Where no layer below has the directory they delete nothing, and
  // overlayfs, which does not merge such a directory, lists them as files that can't be opened.
  std::vector<std::string> deleting;
  // What set_times() has overwritten in this very directory: times that the layer gives to implied
  // directories where none is below.
  struct OwnTime {
    std::string path;
    timespec time = {};
    friend bool operator==(const OwnTime& a, const OwnTime& b) {
      return a.path == b.path && a.time.tv_sec == b.time.tv_sec && a.time.tv_nsec == b.time.tv_nsec;
    }
  };
  std::vector<OwnTime> own_times;

  bool empty() const {
    return implied.empty() && links.empty() && !root_opaque && deleting.empty() &&
           own_times.empty();
  }
  friend bool operator==(const LayerRecord&, const LayerRecord&) = default;
};

// Fields ended by NUL, which no path contains: "sampan-layer-1", then "D" path, "L" path target,
// "O", "W" path, "T" path seconds nanoseconds.
std::string render_record(const LayerRecord& record);
LayerRecord parse_record(std::string_view text);  // throws kCorrupt

}  // namespace storage
