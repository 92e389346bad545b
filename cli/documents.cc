#include "cli/documents.h"

#include "cli/command.h"

namespace cli {

Documents::Documents(const std::string& format) : is_compact_(format == "json") {
  if (!format.empty() && !is_compact_) template_.emplace(format);
}

void Documents::add(const std::string& document) {
  if (template_) {
    print(template_->render(nlohmann::json::parse(document)) + "\n");
  } else {
    found_.push_back(nlohmann::ordered_json::parse(document));
  }
}

void Documents::finish() const {
  if (template_) return;
  constexpr int kCompact = -1;
  constexpr int kIndent = 4;
  print(found_.dump(is_compact_ ? kCompact : kIndent, ' ', false,
                    nlohmann::ordered_json::error_handler_t::replace) +
        "\n");
}

}  // namespace cli
