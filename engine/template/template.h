// Template: docker's --format: Go's text/template syntax over a JSON value.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace engine {

struct TemplateTree;

// All of text/template's syntax but methods with several arguments: fields (.A.B), variables, which
// may be assigned, pipelines, if, with, range, break, continue, define, template, block, comments,
// {{- trimming -}}; Go's functions and docker's: template_functions.h.
class Template {
 public:
  // {{.Label "x"}} on a row: called with the argument.
  using Methods = std::map<std::string, std::function<std::string(const std::string&)>>;

  explicit Template(std::string_view text);  // throws kInvalid: "template parsing error: …"
  Template(Template&&) noexcept;
  ~Template();

  // Throws kInvalid where a field or an argument does not fit.
  std::string render(const nlohmann::json& value, const Methods& methods = {}) const;

  // Most templates are only texts and fields: for thousands of rows these are put one behind the
  // other without a document for each. nullopt: it takes an evaluation.
  struct Piece {
    std::string text;  // or the field's name
    bool is_field = false;
  };
  std::optional<std::vector<Piece>> pieces() const;
  // The value's fields that it looks at; nullopt: it may be any.
  std::optional<std::set<std::string>> fields() const;

 private:
  std::unique_ptr<TemplateTree> tree_;
};

}  // namespace engine
