#include <cctype>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/template_tree.h"

namespace cli {
namespace {

constexpr int kMaxDepth = 100;  // of blocks and of parentheses: both are read by recursion

[[noreturn]] void fail(const std::string& why) {
  throw base::Error(base::ErrorKind::kInvalid, "template parsing error: " + why);
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Reads the inside of one {{ … }}.
class ActionParser {
 public:
  explicit ActionParser(std::string_view text) : text_(text) {}

  bool at_end() {
    skip_space();
    return at_ >= text_.size();
  }

  // "if" of {{if …}}, where the action starts with such a word.
  std::string take_keyword() {
    skip_space();
    for (const std::string_view word : {"if", "else", "end", "with", "range"}) {
      if (text_.substr(at_, word.size()) != word) continue;
      const std::size_t after = at_ + word.size();
      if (after < text_.size() && is_word(text_[after])) continue;
      at_ = after;
      return std::string(word);
    }
    return {};
  }

  TemplateExpression expression() {
    if (++depth_ > kMaxDepth) fail("parentheses are nested too deeply");
    TemplateExpression result;
    result.declares = declarations();
    do {
      TemplateCommand command;
      while (!at_end() && text_[at_] != '|' && text_[at_] != ')') command.push_back(operand());
      if (command.empty()) fail("missing value for command");
      result.commands.push_back(std::move(command));
    } while (take('|'));
    --depth_;
    return result;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool take(char wanted) {
    if (at_end() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  std::string word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }

  // "$x :=" or "$i, $x :="; nothing is consumed where there is no ":=".
  std::vector<std::string> declarations() {
    const std::size_t start = at_;
    std::vector<std::string> names;
    do {
      if (!take('$')) break;
      names.push_back(word());
    } while (take(','));
    if (!names.empty() && !at_end() && text_.substr(at_, 2) == ":=") {
      at_ += 2;
      return names;
    }
    at_ = start;
    return {};
  }

  TemplateOperand operand() {
    skip_space();
    TemplateOperand result;
    const char first = text_[at_];
    if (first == '.') {
      result.kind = TemplateOperand::Kind::kDot;
      if (at_ + 1 >= text_.size() || !is_word(text_[at_ + 1])) {
        ++at_;  // "." alone: the value itself
        return result;
      }
    } else if (first == '$') {
      ++at_;
      result.kind = TemplateOperand::Kind::kVariable;
      result.text = word();
    } else if (first == '"' || first == '`') {
      result.kind = TemplateOperand::Kind::kText;
      result.text = quoted();
      return result;
    } else if (first == '(') {
      ++at_;
      result.kind = TemplateOperand::Kind::kGroup;
      result.group = std::make_shared<TemplateExpression>(expression());
      if (!take(')')) fail("unclosed left paren");
    } else if (first == '-' || std::isdigit(static_cast<unsigned char>(first)) != 0) {
      result.kind = TemplateOperand::Kind::kInteger;
      result.text.push_back(text_[at_++]);
      result.text += word();
      return result;
    } else if (is_word(first)) {
      name(result);
      return result;
    } else {
      fail("unexpected \"" + std::string(1, first) + "\" in operand");
    }
    while (at_ + 1 < text_.size() && text_[at_] == '.' && is_word(text_[at_ + 1])) {
      ++at_;
      result.fields.push_back(word());
    }
    return result;
  }

  void name(TemplateOperand& result) {
    result.text = word();
    if (result.text == "true" || result.text == "false") {
      result.kind = TemplateOperand::Kind::kBool;
    } else if (result.text == "nil") {
      result.kind = TemplateOperand::Kind::kNil;
    } else {
      result.kind = TemplateOperand::Kind::kFunction;
    }
  }

  std::string quoted() {
    const char quote = text_[at_++];
    std::string result;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
        result.push_back(unescape(text_[++at_]));
        ++at_;
      } else {
        result.push_back(text_[at_++]);
      }
    }
    if (at_ >= text_.size()) fail("unterminated quoted string");
    ++at_;
    return result;
  }

  static char unescape(char c) {
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      default:
        return c;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

// Splits the template into text and actions and builds the tree of blocks.
class TemplateParser {
 public:
  explicit TemplateParser(std::string_view text) : text_(text) {}

  TemplateNode parse() {
    TemplateNode root;
    const std::string stopped_by = block(root.children);
    if (!stopped_by.empty()) fail("unexpected {{" + stopped_by + "}}");
    return root;
  }

 private:
  // The next {{ … }} without its marks; text before it goes to `out`. nullopt at the end.
  std::optional<std::string_view> next_action(std::vector<TemplateNode>& out) {
    const std::size_t open = text_.find("{{", at_);
    std::string_view before = text_.substr(at_, open == std::string_view::npos ? open : open - at_);
    if (trim_next_) {
      const std::size_t first = before.find_first_not_of(" \t\r\n");
      before = first == std::string_view::npos ? std::string_view() : before.substr(first);
    }
    trim_next_ = false;
    if (open == std::string_view::npos) {
      add_text(out, before);
      at_ = text_.size();
      return std::nullopt;
    }
    const std::size_t close = text_.find("}}", open);
    if (close == std::string_view::npos) fail("unclosed action");
    std::string_view action = text_.substr(open + 2, close - open - 2);
    at_ = close + 2;
    if (action.size() > 1 && action[0] == '-' && action[1] == ' ') {
      before = before.substr(0, before.find_last_not_of(" \t\r\n") + 1);
      action.remove_prefix(1);
    }
    if (action.size() > 1 && action.back() == '-' && action[action.size() - 2] == ' ') {
      trim_next_ = true;
      action.remove_suffix(1);
    }
    add_text(out, before);
    return action;
  }

  static void add_text(std::vector<TemplateNode>& out, std::string_view text) {
    if (text.empty()) return;
    TemplateNode node;
    node.kind = TemplateNode::Kind::kText;
    node.text = text;
    out.push_back(std::move(node));
  }

  // Reads up to {{end}}, {{else}} or the end and says which; "else if" is returned as "else" with
  // the rest in pending_.
  std::string block(std::vector<TemplateNode>& out) {
    while (const auto action = next_action(out)) {
      if (action->find_first_not_of(" \t") != std::string_view::npos &&
          action->substr(action->find_first_not_of(" \t")).rfind("/*", 0) == 0) {
        continue;  // a comment
      }
      ActionParser parser(*action);
      const std::string keyword = parser.take_keyword();
      if (keyword == "end") return keyword;
      if (keyword == "else") {
        pending_ = parser.at_end() ? std::nullopt : std::optional(parser);
        return keyword;
      }
      out.push_back(keyword.empty() ? output(parser) : compound(keyword, parser));
    }
    return {};
  }

  static TemplateNode output(ActionParser& parser) {
    TemplateNode node;
    node.kind = TemplateNode::Kind::kOutput;
    node.expression = parser.expression();
    if (!parser.at_end()) fail("unexpected right paren");
    return node;
  }

  TemplateNode compound(const std::string& keyword, ActionParser& parser) {
    TemplateNode node;
    node.kind = keyword == "if"     ? TemplateNode::Kind::kIf
                : keyword == "with" ? TemplateNode::Kind::kWith
                                    : TemplateNode::Kind::kRange;
    node.expression = parser.expression();
    if (++depth_ > kMaxDepth) fail("blocks are nested too deeply");
    std::string ended_by = block(node.children);
    if (ended_by == "else") {
      if (pending_) {
        ActionParser rest = *std::exchange(pending_, std::nullopt);
        const std::string next = rest.take_keyword();
        if (next.empty()) fail("unexpected word after else");
        node.otherwise.push_back(compound(next, rest));
        --depth_;
        return node;
      }
      ended_by = block(node.otherwise);
    }
    if (ended_by != "end") fail("unexpected EOF");
    --depth_;
    return node;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool trim_next_ = false;
  std::optional<ActionParser> pending_;
};

}  // namespace

TemplateNode parse_template(std::string_view text) { return TemplateParser(text).parse(); }

}  // namespace cli
