// -v, --mount and --tmpfs: how their texts become mounts.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/time.h"
#include "cli/container_flags.h"

namespace cli {
namespace {

using engine::MountOption;
using Texts = std::vector<std::string>;

[[noreturn]] void refuse_mount(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// A line of comma-separated values, RFC 4180: a field in quotes may have commas.
Texts split_fields(const std::string& text) {
  Texts fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back().push_back(text[++i]);
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  if (quoted) refuse_mount("parse error: extraneous or missing \" in quoted-field: " + text);
  return fields;
}

// A host path or the name of a volume.
void set_source(MountOption& mount, const std::string& source) {
  if (source.empty()) refuse_mount("invalid volume specification: empty source");
  if (source[0] == '/' || source[0] == '.' || source[0] == '~') {
    mount.kind = MountOption::Kind::kBind;
    mount.source = std::filesystem::absolute(source).lexically_normal().string();
    if (mount.source.size() > 1 && mount.source.back() == '/') mount.source.pop_back();
    return;
  }
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  };
  if (source.size() < 2 || std::isalnum(static_cast<unsigned char>(source[0])) == 0 ||
      !std::all_of(source.begin(), source.end(), is_plain)) {
    refuse_mount("create " + source + ": \"" + source +
                 "\" includes invalid characters for a local volume name, only "
                 "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
                 "allowed. If you intended to pass a host directory, use absolute path");
  }
  mount.kind = MountOption::Kind::kVolume;
  mount.source = source;
}

void check_target(const std::string& whole, const std::string& target) {
  if (target.empty() || target[0] != '/') {
    refuse_mount("invalid volume specification: '" + whole + "': mount path must be absolute");
  }
  if (std::filesystem::path(target).lexically_normal() == "/") {
    refuse_mount("invalid volume specification: '" + whole + "': destination can't be '/'");
  }
}

bool is_propagation(const std::string& word) {
  static constexpr std::string_view kModes[] = {"private", "rprivate", "shared",
                                                "rshared", "slave",    "rslave"};
  return std::find(std::begin(kModes), std::end(kModes), word) != std::end(kModes);
}

std::optional<std::uint32_t> find_id(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// Three numbers of which the last is above 0 and no id is above the highest.
std::optional<oci::IdMapping> find_mapping(const Texts& parts) {
  if (parts.size() != 3) return std::nullopt;
  const auto inside = find_id(parts[0]);
  const auto outside = find_id(parts[1]);
  const auto size = find_id(parts[2]);
  constexpr std::uint64_t kEnd = 0xFFFFFFFF;  // -1 is nobody's id
  if (!inside || !outside || !size || *size == 0) return std::nullopt;
  if (std::uint64_t{*inside} + *size > kEnd || std::uint64_t{*outside} + *size > kEnd) {
    return std::nullopt;
  }
  return oci::IdMapping{.container_id = *inside, .host_id = *outside, .size = *size};
}

// "uids=0-1000-1#1-1-999;gids=0-1000-1", as podman's: the id on disk, the id that is shown, how
// many.
void parse_owner_map(const std::string& text, MountOption& mount) {
  for (const std::string& group : split_text(text, ';')) {
    const std::size_t equals = group.find('=');
    const std::string kind = group.substr(0, equals);
    if (equals == std::string::npos || (kind != "uids" && kind != "gids")) {
      refuse_mount("invalid idmap: " + text);
    }
    auto& map = kind == "uids" ? mount.uid_map : mount.gid_map;
    for (const std::string& entry : split_text(group.substr(equals + 1), '#')) {
      const auto mapping = find_mapping(split_text(entry, '-'));
      if (!mapping) refuse_mount("invalid idmap: " + text);
      map.push_back(*mapping);
    }
  }
}

// docker takes each of these once.
enum class ModeGroup { kNone, kAccess, kLabel, kPropagation, kCopy, kConsistency };
ModeGroup group_of(const std::string& word) {
  if (word == "ro" || word == "rw" || word == "readonly") return ModeGroup::kAccess;
  if (word == "z" || word == "Z") return ModeGroup::kLabel;
  if (is_propagation(word)) return ModeGroup::kPropagation;
  if (word == "nocopy") return ModeGroup::kCopy;
  if (word == "consistent" || word == "cached" || word == "delegated" || word == "default") {
    return ModeGroup::kConsistency;
  }
  return ModeGroup::kNone;
}

void apply_mode(const std::string& word, const std::string& modes, MountOption& mount) {
  if (word == "ro" || word == "readonly") {
    mount.readonly = true;
  } else if (word == "nocopy") {
    mount.no_copy = true;
  } else if (is_propagation(word)) {
    mount.propagation = word;
  } else if (word == "idmap" || word.starts_with("idmap=")) {
    mount.id_mapped = true;
    if (word != "idmap") parse_owner_map(word.substr(word.find('=') + 1), mount);
  } else if (group_of(word) == ModeGroup::kNone && word != "rbind") {
    refuse_mount("invalid mode: " + modes);
  }
}

// What only the other kind of source can have.
void check_kind(const std::string& whole, const MountOption& mount) {
  const auto refuse = [&](const char* type, const char* field) {
    refuse_mount("invalid volume specification: '" + whole + "': invalid mount config for type \"" +
                 type + "\": field " + field + " must not be specified");
  };
  if (mount.kind == MountOption::Kind::kBind && mount.no_copy) refuse("bind", "VolumeOptions");
  if (mount.kind == MountOption::Kind::kVolume && !mount.propagation.empty()) {
    refuse("volume", "BindOptions");
  }
}

bool parse_truth(const std::string& key, const std::string& value) {
  if (value.empty() || value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  refuse_mount("invalid value for " + key + ": " + value);
}

// --mount, field by field.
class MountFields {
 public:
  explicit MountFields(const std::string& text) : text_(text) {
    for (const std::string& field : split_fields(text)) read(field);
  }

  MountOption take() {
    set_kind();
    if (mount_.target.empty()) {
      refuse_mount("invalid mount config for type \"" + type_ +
                   "\": field Target must not be empty");
    }
    check_target(text_, mount_.target);
    check_prefixes();
    take_source();
    return std::move(mount_);
  }

 private:
  void read(const std::string& field) {
    const std::size_t equals = field.find('=');
    const std::string key = base::lower_case(field.substr(0, equals));
    const bool switches = key == "readonly" || key == "ro" || key == "volume-nocopy" ||
                          key == "bind-nonrecursive" || key == "idmap";
    if (equals == std::string::npos && !switches) {
      refuse_mount("invalid field '" + field + "' must be a key=value pair");
    }
    const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
    if (!read_common(key, value) && !read_bind(key, value) && !read_volume(key, value) &&
        !read_tmpfs(key, value)) {
      refuse_mount("unexpected key '" + key + "' in '" + field + "'");
    }
  }

  bool read_common(const std::string& key, const std::string& value) {
    if (key == "type") {
      type_ = value;
    } else if (key == "source" || key == "src") {
      source_ = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "readonly" || key == "ro") {
      mount_.readonly = parse_truth(key, value);
    } else if (key == "idmap") {
      mount_.id_mapped = true;
      if (!value.empty()) parse_owner_map(value, mount_);
    } else {
      return key == "consistency";
    }
    return true;
  }

  bool read_bind(const std::string& key, const std::string& value) {
    if (!key.starts_with("bind-")) return false;
    has_bind_ = true;
    if (key == "bind-propagation") {
      if (!is_propagation(value)) refuse_mount("invalid propagation mode: " + value);
      mount_.propagation = value;
    } else if (key == "bind-nonrecursive") {
      mount_.recursive = !parse_truth(key, value);
    } else if (key == "bind-recursive") {
      read_recursive(value);
    } else {
      return false;
    }
    return true;
  }

  void read_recursive(const std::string& value) {
    if (value == "disabled") {
      mount_.recursive = false;
    } else if (value == "writable") {
      mount_.shallow_readonly = true;
    } else if (value == "readonly") {
      needs_readonly_ = true;
    } else if (value != "enabled") {
      refuse_mount("invalid value for bind-recursive: " + value +
                   " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
    }
  }

  bool read_volume(const std::string& key, const std::string& value) {
    if (!key.starts_with("volume-")) return false;
    has_volume_ = true;
    const std::size_t equals = value.find('=');
    const std::string rest = equals == std::string::npos ? "" : value.substr(equals + 1);
    if (key == "volume-nocopy") {
      mount_.no_copy = parse_truth(key, value);
    } else if (key == "volume-subpath") {
      mount_.subpath = value;
    } else if (key == "volume-label") {
      mount_.volume_labels[value.substr(0, equals)] = rest;
    } else if (key == "volume-opt") {
      mount_.volume_options[value.substr(0, equals)] = rest;
    } else if (key == "volume-driver") {
      if (value != "local" && !value.empty()) {
        refuse_mount("error looking up volume plugin " + value + ": plugin \"" + value +
                     "\" not found");
      }
    } else {
      return false;
    }
    return true;
  }

  bool read_tmpfs(const std::string& key, const std::string& value) {
    std::string word;
    if (key == "tmpfs-size") {
      word = "size=" + std::to_string(base::parse_size_binary(value));
    } else if (key == "tmpfs-mode") {
      if (value.empty() || value.find_first_not_of("01234567") != std::string::npos) {
        refuse_mount("invalid value for tmpfs-mode: " + value);
      }
      word = "mode=" + value;
    } else {
      return false;
    }
    has_tmpfs_ = true;
    mount_.tmpfs_options += (mount_.tmpfs_options.empty() ? "" : ",") + word;
    return true;
  }

  void set_kind() {
    if (type_ == "bind") {
      mount_.kind = MountOption::Kind::kBind;
    } else if (type_ == "volume") {
      mount_.kind = MountOption::Kind::kVolume;
    } else if (type_ == "tmpfs") {
      mount_.kind = MountOption::Kind::kTmpfs;
    } else {
      refuse_mount("invalid mount type: " + type_);
    }
  }

  void check_prefixes() const {
    const auto check = [&](bool has, const char* prefix, MountOption::Kind kind) {
      if (has && mount_.kind != kind) {
        refuse_mount("cannot mix '" + std::string(prefix) + "-*' options with mount type '" +
                     type_ + "'");
      }
    };
    check(has_volume_, "volume", MountOption::Kind::kVolume);
    check(has_bind_, "bind", MountOption::Kind::kBind);
    check(has_tmpfs_, "tmpfs", MountOption::Kind::kTmpfs);
    if (mount_.id_mapped && mount_.kind == MountOption::Kind::kTmpfs) {
      refuse_mount("cannot mix 'idmap' with mount type 'tmpfs'");
    }
    if (needs_readonly_ && !mount_.readonly) {
      refuse_mount(
          "option 'bind-recursive=readonly' requires 'readonly' to be specified in "
          "conjunction");
    }
    if (needs_readonly_ && mount_.propagation != "rprivate") {
      refuse_mount(
          "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be "
          "specified in conjunction");
    }
  }

  void take_source() {
    const auto kind = mount_.kind;
    if (source_.empty()) {
      if (kind == MountOption::Kind::kBind) {
        refuse_mount("invalid mount config for type \"bind\": field Source must not be empty");
      }
      return;
    }
    if (kind == MountOption::Kind::kTmpfs) {
      refuse_mount("invalid mount config for type \"tmpfs\": field Source must not be specified");
    }
    set_source(mount_, source_);
    if (mount_.kind != kind) {
      refuse_mount("invalid mount config for type \"" + type_ + "\": invalid mount path: '" +
                   source_ + "'" +
                   (kind == MountOption::Kind::kBind ? " mount path must be absolute" : ""));
    }
  }

  const std::string& text_;
  MountOption mount_;
  std::string type_ = "volume", source_;
  bool has_bind_ = false, has_volume_ = false, has_tmpfs_ = false, needs_readonly_ = false;
};

}  // namespace

MountOption parse_volume(const std::string& text) {
  const Texts parts = split_text(text, ':');
  MountOption mount;
  if (parts.size() > 3 || text.empty()) {
    refuse_mount("invalid volume specification: '" + text + "'");
  }
  mount.target = parts.size() == 1 ? parts[0] : parts[1];
  check_target(text, mount.target);
  if (parts.size() == 1) {
    mount.kind = MountOption::Kind::kVolume;  // anonymous
    return mount;
  }
  set_source(mount, parts[0]);
  mount.create_source = true;
  if (parts.size() < 3) return mount;
  mount.mode = parts[2];
  std::vector<ModeGroup> seen;
  for (const std::string& word : split_text(parts[2], ',')) {
    const ModeGroup group = group_of(word);
    const bool again = std::find(seen.begin(), seen.end(), group) != seen.end();
    if (again && group != ModeGroup::kNone) refuse_mount("invalid mode: " + parts[2]);
    seen.push_back(group);
    apply_mode(word, parts[2], mount);
  }
  check_kind(text, mount);
  return mount;
}

MountOption parse_mount(const std::string& text) { return MountFields(text).take(); }

MountOption parse_tmpfs(const std::string& text) {
  const std::size_t colon = text.find(':');
  MountOption mount;
  mount.kind = MountOption::Kind::kTmpfs;
  mount.target = text.substr(0, colon);
  check_target(text, mount.target);
  if (colon != std::string::npos) mount.tmpfs_options = text.substr(colon + 1);
  return mount;
}

oci::IdMapping parse_id_mapping(const std::string& text) {
  const auto mapping = find_mapping(split_text(text, ':'));
  if (!mapping) refuse_mount("invalid id mapping: " + text + ": it is inside:outside:size");
  return *mapping;
}

}  // namespace cli
