#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace cli {

OutputFile::OutputFile(const std::string& path) : path_(path) {
  if (path.empty()) {
    if (isatty(STDOUT_FILENO) == 1) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    fd_ = STDOUT_FILENO;
    return;
  }
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    owned_ = base::open_file(path_, O_WRONLY | O_NOCTTY);
  } else {
    staged_ = path + ".tmp-" + base::random_hex(4);
    owned_ = base::open_file(staged_, O_WRONLY | O_CREAT | O_EXCL, 0600);
  }
  fd_ = owned_.get();
}

OutputFile::~OutputFile() {
  if (!staged_.empty()) unlink(staged_.c_str());
}

void OutputFile::finish() {
  if (staged_.empty()) return;
  base::check(rename(staged_.c_str(), path_.c_str()), path_.string());
  staged_.clear();
}

}  // namespace cli
