// ManPage: a manual page as values, and its text in the macros of man(7).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli_man {

struct Entry {
  std::string term, text;  // "-d, --detach", "Run in the background"
};

struct Section {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<Entry> entries;  // below the paragraphs
};

struct ManPage {
  std::string name;  // "sampan-run"
  int number = 1;
  std::string summary;                // "Create and run a new container from an image"
  std::vector<std::string> synopsis;  // "sampan run [OPTIONS] IMAGE", one a form
  std::vector<Section> sections;
  std::vector<std::string> see_also;  // "sampan(1)"
};

// `date`: as the page's foot shows it; `version`: of the program.
std::string render_page(const ManPage& page, std::string_view date, std::string_view version);

// A page that is another one's second name: "sampan-container-run" is "sampan-run".
std::string render_alias(std::string_view name, int number);

}  // namespace cli_man
