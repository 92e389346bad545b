// Documents: what the inspect commands print, a JSON document an object: one list of all, or each
// by a template.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/template/template.h"

namespace cli {

class Documents {
 public:
  // `format`: "" (indented), "json" or a template; throws kInvalid where that is none.
  explicit Documents(const std::string& format);
  // By a template it is printed at once.
  void add(const std::string& document);
  // Prints the list where there is no template.
  void finish() const;

 private:
  bool is_compact_ = false;
  std::optional<engine::Template> template_;
  nlohmann::ordered_json found_ = nlohmann::ordered_json::array();
};

}  // namespace cli
