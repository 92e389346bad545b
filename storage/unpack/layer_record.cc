#include "storage/unpack/layer_record.h"

#include "base/error.h"

namespace storage {
namespace {

constexpr std::string_view kHeading = "sampan-layer-1";

void add_field(std::string& text, std::string_view field) {
  text += field;
  text += '\0';
}

class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  std::string take() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) {
      throw base::Error(base::ErrorKind::kCorrupt, "layer record ends too early");
    }
    std::string field(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return field;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::string render_record(const LayerRecord& record) {
  std::string text;
  add_field(text, kHeading);
  for (const std::string& path : record.implied) {
    add_field(text, "D");
    add_field(text, path);
  }
  for (const LayerRecord::Link& link : record.links) {
    add_field(text, "L");
    add_field(text, link.path);
    add_field(text, link.target);
  }
  if (record.root_opaque) add_field(text, "O");
  for (const std::string& path : record.deleting) {
    add_field(text, "W");
    add_field(text, path);
  }
  return text;
}

LayerRecord parse_record(std::string_view text) {
  LayerRecord record;
  Fields fields(text);
  if (fields.take() != kHeading) {
    throw base::Error(base::ErrorKind::kCorrupt, "layer record of an unknown format");
  }
  while (!fields.at_end()) {
    const std::string kind = fields.take();
    if (kind == "D") {
      record.implied.push_back(fields.take());
    } else if (kind == "L") {
      std::string path = fields.take();
      record.links.push_back({std::move(path), fields.take()});
    } else if (kind == "W") {
      record.deleting.push_back(fields.take());
    } else if (kind == "O") {
      record.root_opaque = true;
    } else {
      throw base::Error(base::ErrorKind::kCorrupt, "layer record with an unknown field");
    }
  }
  return record;
}

}  // namespace storage
