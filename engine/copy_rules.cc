#include "engine/copy_rules.h"

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/error.h"

namespace engine {
namespace {

constexpr std::uint64_t kTarBlock = 512;

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

}  // namespace

CopyArgument parse_copy_argument(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (text.starts_with('/') || text.starts_with('.') || colon == std::string::npos) {
    return {.container = {}, .path = text};
  }
  return {.container = text.substr(0, colon), .path = text.substr(colon + 1)};
}

CopyPath parse_copy_path(const std::string& text, const std::string& base) {
  CopyPath result;
  result.contents = text == "." || text.ends_with("/.");
  result.directory = result.contents || text.ends_with('/');
  const std::string whole = text.starts_with('/') ? text : base + "/" + text;
  // "/.." is "/", which lexically_normal() knows.
  result.path = std::filesystem::path("/" + whole).lexically_normal().string();
  while (result.path.starts_with("//")) result.path.erase(0, 1);
  while (result.path.size() > 1 && result.path.ends_with('/')) result.path.pop_back();
  if (result.path == "/") result.contents = result.directory = true;
  return result;
}

CopyAction plan_copy(bool source_is_directory, const CopyPath& source, CopyKind destination,
                     const CopyPath& destination_path) {
  if (source.directory && !source_is_directory) refuse(source.path + ": not a directory");
  switch (destination) {
    case CopyKind::kDirectory:
      return source.contents ? CopyAction::kContents : CopyAction::kInto;
    case CopyKind::kOther:
      if (source_is_directory) refuse("cannot copy directory");
      if (destination_path.directory) refuse(destination_path.path + ": not a directory");
      return CopyAction::kAs;
    case CopyKind::kMissing:
      if (!source_is_directory && destination_path.directory) refuse("no such directory");
      return CopyAction::kAs;
  }
  return CopyAction::kAs;
}

std::uint64_t tar_bytes(std::uint64_t content) {
  return kTarBlock + (content + kTarBlock - 1) / kTarBlock * kTarBlock;
}

std::string copied_size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto number = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; number >= 1000 && unit + 1 < kUnits.size(); ++unit) number /= 1000;
  std::array<char, 32> text = {};
  std::snprintf(text.data(), text.size(), "%.3g%s", number, kUnits[unit]);
  return text.data();
}

}  // namespace engine
