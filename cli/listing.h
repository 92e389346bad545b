// Listing: rows printed as docker's list commands do: a table, JSON lines or a template.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "engine/template/template.h"

namespace cli {

// Rows are JSON objects with docker's field names; `headers` says what stands above each field in a
// table.
class Listing {
 public:
  using Headers = std::map<std::string, std::string>;

  // `format`: empty or "table" (the default columns), "json", "table TEMPLATE" or "TEMPLATE".
  Listing(const std::string& format, const std::vector<std::string>& default_fields,
          const Headers& headers);
  Listing(Listing&&) noexcept;
  ~Listing();

  void add(const nlohmann::json& row, const engine::Template::Methods& methods = {});
  // Whether a row's fields can be asked for one by one: then add_fields() may be called for it, and
  // no document is made for each row.
  bool is_simple() const;
  // Says that a row is texts under these names and nothing else: so is "json" simple, too.
  void expect_texts(std::vector<std::string> names);
  // Whether a row's field can make a difference.
  bool uses(const std::string& field) const;
  using Field = std::function<std::string(const std::string& name)>;
  void add_fields(const Field& field);
  void expect(std::size_t rows);  // a hint: so many will be added
  std::string render() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Columns separated by tabs, aligned as docker's: at least 10 wide, 3 apart; the last one is not
// padded.
std::string align_columns(const std::vector<std::string>& lines);

// At most `limit` columns, the last one "…"; as docker truncates COMMAND.
std::string ellipsis(const std::string& text, std::size_t limit);

}  // namespace cli
