#include "cli/man/man_page.h"

#include <algorithm>
#include <cctype>

namespace cli_man {
namespace {

// Text as troff must read it: a dash that can be copied, a backslash that is one, and no line that
// begins like a request. See groff_char(7), groff(7).
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '~') {
      out += "\\(ti";
    } else if (c == '^') {
      out += "\\(ha";
    } else {
      out += c;
    }
  }
  if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out.insert(0, "\\&");
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// The argument of a macro.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : escaped(text)) out += c == '"' ? std::string("\\(dq") : std::string(1, c);
  return out + "\"";
}

void add_section(const Section& section, std::string& text) {
  text += ".SH " + quoted(section.title) + "\n";
  bool is_first = true;
  for (const std::string& paragraph : section.paragraphs) {
    if (!is_first) text += ".PP\n";
    is_first = false;
    text += escaped(paragraph) + "\n";
  }
  for (const Entry& entry : section.entries) {
    text += ".TP\n\\fB" + escaped(entry.term) + "\\fR\n" + escaped(entry.text) + "\n";
  }
}

}  // namespace

std::string render_page(const ManPage& page, std::string_view date, std::string_view version) {
  // Names and dates that programs read: as they are.
  std::string text = ".TH " + upper(page.name) + " " + std::to_string(page.number) + " " +
                     std::string(date) + " \"sampan " + std::string(version) + "\"\n";
  text += ".SH NAME\n" + escaped(page.name) + " \\- " + escaped(page.summary) + "\n";
  text += ".SH SYNOPSIS\n.nf\n";
  for (const std::string& form : page.synopsis) text += "\\fB" + escaped(form) + "\\fR\n";
  text += ".fi\n";
  for (const Section& section : page.sections) add_section(section, text);
  if (page.see_also.empty()) return text;
  text += ".SH \"SEE ALSO\"\n";
  for (const std::string& other : page.see_also) {
    text += escaped(other) + (&other == &page.see_also.back() ? "\n" : ",\n");
  }
  return text;
}

std::string render_alias(std::string_view name, int number) {
  const std::string section = std::to_string(number);
  return ".so man" + section + "/" + std::string(name) + "." + section + "\n";
}

}  // namespace cli_man
