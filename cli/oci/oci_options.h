// Options: the options and words that a command of sampan-oci takes, and its help; read by
// getopt_long(3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cli_oci {

// Why not the library that the other programs use: building its objects takes as long as parsing a
// config.json, and this program starts once or twice for each container.
class Options {
 public:
  // What the help says of one of them.
  struct Help {
    std::string names, value, text;  // "-b,--bundle", "TEXT", ...
  };

  // Where a value goes. A bool is an option without one ("--tty=false" takes it back); a list
  // collects those of an option that is given several times.
  using Target =
      std::variant<bool*, std::string*, std::filesystem::path*, std::vector<std::string>*, int*,
                   std::uint16_t*, std::int64_t*, std::uint64_t*, std::optional<std::int64_t>*,
                   std::optional<std::uint64_t>*>;

  class Row {
   public:
    // Other values are refused.
    Row& one_of(std::initializer_list<std::string_view> words);
    Row& between(std::int64_t least, std::int64_t most);

   private:
    friend class Options;
    std::string_view names;  // "-b,--bundle"
    std::string_view help;
    Target target;
    std::vector<std::string_view> words;
    std::optional<std::pair<std::int64_t, std::int64_t>> range;
  };

  // `command` is empty for the program itself. All texts must outlive this.
  Options(std::string_view command, std::string_view summary);

  // The returned row is valid until the next is added.
  Row& add(std::string_view names, Target target, std::string_view help);
  // A word without dash, in the order of the calls.
  void add_word(std::string_view name, std::string& word);
  void add_optional_word(std::string_view name, std::string& word);
  // From the first word on, everything goes into `rest`, whatever it begins with.
  void take_rest(std::string_view name, std::vector<std::string>& rest);

  // False where the help was asked for. Throws kInvalid, naming option or word.
  bool parse(const std::vector<std::string>& words);
  std::string help() const;
  // The same in pieces.
  std::string usage() const;  // "sampan-oci run [OPTIONS] ID"
  std::vector<Help> rows() const;

 private:
  struct Word {
    std::string_view name;
    std::string* target = nullptr;
    bool required = true;
  };
  struct Name {
    std::string text;  // without dashes
    std::size_t row = 0;
  };

  std::vector<Name> all_names() const;
  static void set(const Row& row, const char* value);
  void take_words(const std::vector<std::string>& words);

  std::string_view command_, summary_, rest_name_;
  std::vector<Row> rows_;
  std::vector<Word> words_;
  std::vector<std::string>* rest_ = nullptr;
  bool wants_help_ = false;
};

}  // namespace cli_oci
