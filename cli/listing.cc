#include "cli/listing.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace cli {
namespace {

std::string template_of(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "{{." : "\t{{.") + field + "}}";
  return text;
}

// In a --format the shell leaves \t and \n as two characters; docker accepts them so.
std::string with_escapes(std::string text) {
  for (const auto& [written, meant] : {std::pair{"\\t", "\t"}, std::pair{"\\n", "\n"}}) {
    for (std::size_t at = 0; (at = text.find(written, at)) != std::string::npos; ++at) {
      text.replace(at, 2, meant);
    }
  }
  return text;
}

// Display width: continuation bytes of UTF-8 take no column.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string shown(const std::string& cell) { return base::printable(cell, cell.size()); }

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::size_t start = 0;
  for (std::size_t at = 0; (at = line.find('\t', start)) != std::string::npos; start = at + 1) {
    cells.push_back(line.substr(start, at - start));
  }
  cells.push_back(line.substr(start));
  return cells;
}

}  // namespace

struct Listing::State {
  enum class Kind { kTable, kJson, kLines } kind = Kind::kLines;
  std::optional<Template> format;
  std::vector<std::string> lines;
};

Listing::Listing(const std::string& format, std::vector<std::string> default_fields,
                 Headers headers)
    : state_(std::make_unique<State>()) {
  std::string text = with_escapes(format);
  if (text == "json") {
    state_->kind = State::Kind::kJson;
    return;
  }
  if (text.empty() || text == "table") {
    state_->kind = State::Kind::kTable;
    text = template_of(default_fields);
  } else if (text.rfind("table ", 0) == 0) {
    state_->kind = State::Kind::kTable;
    text = text.substr(6);
  }
  state_->format.emplace(text);
  if (state_->kind != State::Kind::kTable) return;
  Template::Methods methods;
  methods["Label"] = [](const std::string& name) { return name; };
  state_->lines.push_back(state_->format->render(nlohmann::json(headers), methods));
}
Listing::Listing(Listing&&) noexcept = default;
Listing::~Listing() = default;

void Listing::add(const nlohmann::json& row, const Template::Methods& methods) {
  if (state_->kind == State::Kind::kJson) {
    state_->lines.push_back(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    state_->lines.push_back(state_->format->render(row, methods));
  }
}

std::string Listing::render() const {
  if (state_->kind == State::Kind::kTable) return align_columns(state_->lines);
  std::string text;
  for (const std::string& line : state_->lines) text += line + "\n";
  return text;
}

std::string align_columns(const std::vector<std::string>& lines) {
  constexpr std::size_t kMinimum = 10;
  constexpr std::size_t kGap = 3;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> widths;
  for (const std::string& line : lines) {
    rows.push_back(cells_of(line));
    widths.resize(std::max(widths.size(), rows.back().size()), kMinimum);
    for (std::size_t i = 0; i + 1 < rows.back().size(); ++i) {
      widths[i] = std::max(widths[i], columns_of(shown(rows.back()[i])) + kGap);
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = shown(row[i]);
      text += cell;
      if (i + 1 < row.size()) text.append(widths[i] - columns_of(cell), ' ');
    }
    text += "\n";
  }
  return text;
}

std::string ellipsis(const std::string& text, std::size_t limit) {
  if (columns_of(text) <= limit) return text;
  std::size_t end = 0;
  for (std::size_t columns = 0; end < text.size(); ++end) {
    const bool starts = (static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U;
    if (starts && columns++ == limit - 1) break;
  }
  return text.substr(0, end) + "…";
}

}  // namespace cli
