// TemplateScanner: cuts a template into texts and actions, and actions into words.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/template/template_tree.h"

namespace engine {

// Texts and the actions between them, trimmed as "{{- " and " -}}" say; comments are left out.
class TemplateScanner {
 public:
  explicit TemplateScanner(std::string_view text) : text_(text) {}

  // The next action without its marks; `before` gets the text in front of it. nullopt at the end.
  std::optional<std::string_view> next(std::string& before);

 private:
  std::string_view take_text(std::size_t end);
  std::size_t find_end(std::size_t start) const;

  std::string_view text_;
  std::size_t at_ = 0;
  bool trim_next_ = false;
};

// Reads the inside of one {{ … }}.
class ActionParser {
 public:
  explicit ActionParser(std::string_view text) : text_(text) {}

  bool at_end();
  std::string take_keyword();  // "if" of {{if …}}; empty where it starts with none
  std::string take_name();     // "x" of {{template "x" …}}
  TemplateExpression expression();

 private:
  void skip_space();
  bool take(char wanted);
  std::string word();
  void declarations(TemplateExpression& expression);
  TemplateOperand operand();
  void number(TemplateOperand& result);
  void character(TemplateOperand& result);
  static void name(TemplateOperand& result);
  std::string quoted();
  void escape(std::string& out, char quote);
  std::uint32_t digits(int count, int base);

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

void append_utf8(std::string& out, std::uint32_t code);

}  // namespace engine
