#include "cli/short_switches.h"

#include <string_view>

namespace cli {
namespace {

bool is_switch(const Flag& flag) { return std::holds_alternative<bool*>(flag.target); }

// The flag that has `name`, "-x" or "--long", among its names.
const Flag* find_named(const std::vector<Flag>& flags, std::string_view name) {
  for (const Flag& flag : flags) {
    const std::string names = "," + flag.names + ",";
    if (names.find("," + std::string(name) + ",") != std::string::npos) return &flag;
  }
  return nullptr;
}

std::string long_name(const Flag& flag) {
  const std::size_t at = flag.names.find("--");
  if (at == std::string::npos) return {};
  return flag.names.substr(at, flag.names.find(',', at) - at);
}

// Whether the value of the flag that `word` ends with is the next word.
bool takes_next_word(const std::vector<Flag>& flags, const std::string& word) {
  if (word.starts_with("--")) {
    const Flag* const flag = find_named(flags, word);
    return flag != nullptr && !is_switch(*flag);
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const Flag* const flag = find_named(flags, std::string("-") + word[i]);
    if (flag == nullptr) return false;
    if (!is_switch(*flag)) return i + 1 == word.size();  // else the rest is the value
  }
  return false;
}

}  // namespace

std::vector<std::string> with_long_switches(const Syntax& syntax, const std::vector<Flag>& flags,
                                            std::vector<std::string> words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word == "--") break;
    if (word.size() < 2 || word[0] != '-') {
      if (syntax.flags == Syntax::Flags::kBeforeArguments) break;
      continue;
    }
    if (word.size() > 2 && word[1] != '-' && word[2] == '=') {
      const Flag* const flag = find_named(flags, word.substr(0, 2));
      if (flag == nullptr || !is_switch(*flag) || long_name(*flag).empty()) continue;
      word = long_name(*flag) + word.substr(2);
    } else if (takes_next_word(flags, word)) {
      ++i;
    }
  }
  return words;
}

}  // namespace cli
