#include <optional>
#include <utility>

#include "engine/template/template_scan.h"
#include "engine/template/template_tree.h"

namespace engine {
namespace {

constexpr int kMaxBlocks = 100;  // within each other: they are read by recursion

// Builds the tree of blocks.
class TemplateParser {
 public:
  explicit TemplateParser(std::string_view text) : scanner_(text) {}

  TemplateTree parse() {
    const std::string stopped_by = block(tree_.nodes);
    if (!stopped_by.empty()) fail_template("unexpected {{" + stopped_by + "}}");
    return std::move(tree_);
  }

 private:
  using Nodes = std::vector<TemplateNode>;

  static void add_text(Nodes& out, std::string& text) {
    if (text.empty()) return;
    TemplateNode node;
    node.text = std::move(text);
    out.push_back(std::move(node));
  }

  // Reads up to {{end}}, {{else}} or the end and says which; what follows "else" is in pending_.
  std::string block(Nodes& out) {
    std::string text;
    while (const auto action = scanner_.next(text)) {
      add_text(out, text);
      ActionParser parser(*action);
      const std::string keyword = parser.take_keyword();
      if (keyword == "else") {
        pending_ = parser.at_end() ? std::nullopt : std::optional(parser);
        return keyword;
      }
      if (keyword == "end") {
        expect_end(parser, keyword);
        return keyword;
      }
      if (keyword == "define") {
        define(parser);
      } else {
        out.push_back(node(keyword, parser));
      }
    }
    add_text(out, text);
    return {};
  }

  static void expect_end(ActionParser& parser, const std::string& keyword) {
    if (!parser.at_end()) fail_template("unexpected word in " + keyword);
  }

  TemplateNode node(const std::string& keyword, ActionParser& parser) {
    if (keyword.empty()) return output(parser);
    if (keyword == "break" || keyword == "continue") return jump(keyword, parser);
    if (keyword == "template" || keyword == "block") return call(keyword, parser);
    return compound(keyword, parser);
  }

  static TemplateNode output(ActionParser& parser) {
    TemplateNode node;
    node.kind = TemplateNode::Kind::kOutput;
    node.expression = whole_expression(parser);
    return node;
  }

  static TemplateExpression whole_expression(ActionParser& parser) {
    TemplateExpression expression = parser.expression();
    if (!parser.at_end()) fail_template("unexpected right paren");
    return expression;
  }

  TemplateNode jump(const std::string& keyword, ActionParser& parser) const {
    expect_end(parser, keyword);
    if (ranges_ == 0) fail_template("{{" + keyword + "}} outside {{range}}");
    TemplateNode node;
    node.kind = keyword == "break" ? TemplateNode::Kind::kBreak : TemplateNode::Kind::kContinue;
    return node;
  }

  TemplateNode call(const std::string& keyword, ActionParser& parser) {
    TemplateNode node;
    node.kind = TemplateNode::Kind::kTemplate;
    node.text = parser.take_name();
    if (!parser.at_end()) node.expression = whole_expression(parser);
    if (keyword == "block") {
      if (node.expression.commands.empty()) fail_template("missing value for block clause");
      body_of(node.text);
    }
    return node;
  }

  void define(ActionParser& parser) {
    if (depth_ > 0) fail_template("unexpected {{define}}");
    const std::string name = parser.take_name();
    expect_end(parser, "define");
    body_of(name);
  }

  // Up to {{end}}; no range goes on into it.
  void body_of(const std::string& name) {
    const int ranges = std::exchange(ranges_, 0);
    enter();
    Nodes body;
    if (block(body) != "end") fail_template("unexpected EOF");
    --depth_;
    ranges_ = ranges;
    tree_.named[name] = std::move(body);
  }

  void enter() {
    if (++depth_ > kMaxBlocks) fail_template("blocks are nested too deeply");
  }

  TemplateNode compound(const std::string& keyword, ActionParser& parser) {
    TemplateNode node;
    node.kind = keyword == "if"     ? TemplateNode::Kind::kIf
                : keyword == "with" ? TemplateNode::Kind::kWith
                                    : TemplateNode::Kind::kRange;
    if (parser.at_end()) fail_template("missing value for " + keyword);
    node.expression = whole_expression(parser);
    const bool is_range = keyword == "range";
    if (node.expression.declares.size() > (is_range ? 2U : 1U)) {
      fail_template("too many declarations in " + keyword);
    }
    enter();
    if (is_range) ++ranges_;
    std::string ended_by = block(node.children);
    if (is_range) --ranges_;
    if (ended_by == "else") ended_by = otherwise(node, keyword);
    if (ended_by != "end") fail_template("unexpected EOF");
    --depth_;
    return node;
  }

  // After {{else}}; {{else if}} is a block within it that ends with the same {{end}}.
  std::string otherwise(TemplateNode& node, const std::string& keyword) {
    if (!pending_) return block(node.otherwise);
    ActionParser rest = *std::exchange(pending_, std::nullopt);
    const std::string next = rest.take_keyword();
    if (next != keyword || keyword == "range") fail_template("unexpected <" + next + "> in else");
    node.otherwise.push_back(compound(next, rest));
    return "end";
  }

  TemplateScanner scanner_;
  TemplateTree tree_;
  int depth_ = 0;
  int ranges_ = 0;  // around what is being read
  std::optional<ActionParser> pending_;
};

}  // namespace

TemplateTree parse_template(std::string_view text) { return TemplateParser(text).parse(); }

}  // namespace engine
