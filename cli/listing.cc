#include "cli/listing.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "oci/json_writer.h"

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

// Rows of cells, one behind the other in one text: thousands of rows are a few allocations.
class Table {
 public:
  void add_cell(const std::string& cell) {
    const std::string text = base::printable(cell, cell.size());
    cells_.push_back({.bytes = text.size(), .columns = columns_of(text)});
    text_ += text;
  }
  void expect(std::size_t rows, std::size_t columns) {
    rows_.reserve(rows);
    cells_.reserve(rows * columns);
    text_.reserve(rows * columns * kUsualCell);
  }
  void end_row() { rows_.push_back(cells_.size()); }
  void add_row(const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) add_cell(cell);
    end_row();
  }

  void add_row(const std::string& line) {
    std::size_t start = 0;
    for (std::size_t at = 0; (at = line.find('\t', start)) != std::string::npos; start = at + 1) {
      add_cell(line.substr(start, at - start));
    }
    add_cell(line.substr(start));
    end_row();
  }

  std::string render() const {
    const std::vector<std::size_t> widths = plan_widths();
    std::string text;
    text.reserve(rows_.size() * (std::accumulate(widths.begin(), widths.end(), std::size_t{1})));
    std::size_t cell = 0;
    std::size_t at = 0;
    for (const std::size_t end : rows_) {
      for (std::size_t column = 0; cell < end; ++cell, ++column) {
        text.append(text_, at, cells_[cell].bytes);
        at += cells_[cell].bytes;
        if (cell + 1 < end) text.append(widths[column] - cells_[cell].columns, ' ');
      }
      text += '\n';
    }
    return text;
  }

 private:
  static constexpr std::size_t kUsualCell = 12;
  struct Cell {
    std::size_t bytes = 0, columns = 0;
  };

  // As docker's: at least 10 wide, 3 apart.
  std::vector<std::size_t> plan_widths() const {
    constexpr std::size_t kMinimum = 10;
    constexpr std::size_t kGap = 3;
    std::vector<std::size_t> widths;
    std::size_t cell = 0;
    for (const std::size_t end : rows_) {
      widths.resize(std::max(widths.size(), end - cell), kMinimum);
      for (std::size_t column = 0; cell < end; ++cell, ++column) {
        if (cell + 1 < end) widths[column] = std::max(widths[column], cells_[cell].columns + kGap);
      }
    }
    return widths;
  }

  std::string text_;
  std::vector<Cell> cells_;
  std::vector<std::size_t> rows_;  // where each ends
};

}  // namespace

struct Listing::State {
  enum class Kind { kTable, kJson, kLines } kind = Kind::kLines;
  std::optional<engine::Template> format;
  std::optional<std::vector<engine::Template::Piece>> pieces;  // of a simple format
  std::optional<std::set<std::string>> fields;                 // that the format looks at
  std::vector<std::string> json_texts;                         // members of a row, sorted
  Table table;
  std::vector<std::string> lines;  // where it is no table

  void add_line(const std::string& line) {
    if (kind == Kind::kTable) {
      table.add_row(line);
    } else {
      lines.push_back(line);
    }
  }
};

Listing::Listing(const std::string& format, const std::vector<std::string>& default_fields,
                 const Headers& headers)
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
  state_->fields = state_->format->fields();
  state_->pieces = state_->format->pieces();
  // A field that does not exist is the evaluation's to complain about.
  const bool are_known =
      state_->fields && std::all_of(state_->fields->begin(), state_->fields->end(),
                                    [&](const auto& name) { return headers.contains(name); });
  if (!are_known) state_->pieces.reset();
  if (state_->kind != State::Kind::kTable) return;
  engine::Template::Methods methods;
  methods["Label"] = [](const std::string& name) { return name; };
  state_->add_line(state_->format->render(nlohmann::json(headers), methods));
}
Listing::Listing(Listing&&) noexcept = default;
Listing::~Listing() = default;

void Listing::add(const nlohmann::json& row, const engine::Template::Methods& methods) {
  if (state_->kind == State::Kind::kJson) {
    state_->lines.push_back(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    state_->add_line(state_->format->render(row, methods));
  }
}

void Listing::expect(std::size_t rows) {
  if (state_->pieces) state_->table.expect(rows + 1, state_->fields->size());
}

bool Listing::is_simple() const {
  return state_->pieces.has_value() || !state_->json_texts.empty();
}

void Listing::expect_texts(std::vector<std::string> names) {
  if (state_->kind != State::Kind::kJson) return;
  std::sort(names.begin(), names.end());
  state_->json_texts = std::move(names);
}

bool Listing::uses(const std::string& field) const {
  return !state_->fields || state_->fields->contains(field);
}

void Listing::add_fields(const Field& field) {
  if (!state_->json_texts.empty()) {
    oci::JsonWriter row;
    row.begin_object();
    for (const std::string& name : state_->json_texts) row.key(name).value(field(name));
    row.end_object();
    state_->lines.push_back(row.take());
    return;
  }
  std::vector<std::string> cells(1);
  for (const engine::Template::Piece& piece : *state_->pieces) {
    if (piece.is_field) {
      cells.back() += field(piece.text);
      continue;
    }
    for (const char c : piece.text) {
      if (c == '\t' && state_->kind == State::Kind::kTable) {
        cells.emplace_back();
      } else {
        cells.back() += c;
      }
    }
  }
  if (state_->kind == State::Kind::kTable) {
    state_->table.add_row(cells);
  } else {
    state_->lines.push_back(std::move(cells.front()));
  }
}

std::string Listing::render() const {
  if (state_->kind == State::Kind::kTable) return state_->table.render();
  std::string text;
  for (const std::string& line : state_->lines) text += line + "\n";
  return text;
}

std::string align_columns(const std::vector<std::string>& lines) {
  Table table;
  for (const std::string& line : lines) table.add_row(line);
  return table.render();
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
