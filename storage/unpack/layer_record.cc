#include "storage/unpack/layer_record.h"

#include <charconv>
#include <utility>

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
  long take_number() {
    const std::string field = take();
    long number = 0;
    const char* const end = field.data() + field.size();
    if (std::from_chars(field.data(), end, number).ptr != end || field.empty()) {
      throw base::Error(base::ErrorKind::kCorrupt, "layer record with a time that is no number");
    }
    return number;
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
  for (const LayerRecord::OwnTime& own : record.own_times) {
    add_field(text, "T");
    add_field(text, own.path);
    add_field(text, std::to_string(own.time.tv_sec));
    add_field(text, std::to_string(own.time.tv_nsec));
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
    } else if (kind == "T") {
      LayerRecord::OwnTime own{.path = fields.take()};
      own.time.tv_sec = fields.take_number();
      own.time.tv_nsec = fields.take_number();
      record.own_times.push_back(std::move(own));
    } else {
      throw base::Error(base::ErrorKind::kCorrupt, "layer record with an unknown field");
    }
  }
  return record;
}

}  // namespace storage
