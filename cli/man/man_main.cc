// sampan-man: writes the manual pages of the programs into a directory, when they are built.
//   sampan-man DIRECTORY DATE
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/man/man_sources.h"
#include "cli/version.h"

namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("write " + path.string());
}

void write_pages(const fs::path& directory, const std::string& date) {
  const auto file_of = [&](const std::string& name, int number) {
    return directory / (name + "." + std::to_string(number));
  };
  fs::create_directories(directory);
  for (const auto& entry : fs::directory_iterator(directory)) fs::remove(entry);
  for (const cli_man::ManPage& page : cli_man::pages_of_sampan()) {
    write_file(file_of(page.name, page.number), cli_man::render_page(page, date, cli::kVersion));
  }
  for (const auto& [name, target] : cli_man::aliases_of_sampan()) {
    write_file(file_of(name, 1), cli_man::render_alias(target, 1));
  }
  const cli_man::ManPage oci = cli_man::page_of_oci();
  write_file(file_of(oci.name, oci.number), cli_man::render_page(oci, date, cli::kVersion));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: sampan-man DIRECTORY DATE\n";
    return 2;
  }
  try {
    write_pages(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::cerr << "sampan-man: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
