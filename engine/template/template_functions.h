// Functions of templates: Go's own and those that docker adds.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace engine {

using TemplateArguments = std::vector<nlohmann::json>;

bool is_template_function(const std::string& name);

// Any but `and` and `or`, which look at an argument only if they must. Throws kInvalid.
nlohmann::json call_template_function(const std::string& name, const TemplateArguments& arguments);

// As Go's fmt prints a value with %v.
std::string template_text(const nlohmann::json& value);

// Go's text/template: what is not empty and not zero.
bool is_template_true(const nlohmann::json& value);

// Go's fmt.Sprintf; what does not fit is said in the text, as there: %!d(string=x).
std::string template_printf(const TemplateArguments& arguments);

}  // namespace engine
