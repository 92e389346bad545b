// Utf8Scope: libarchive converts names by the thread's locale; here that is UTF-8 whatever the
// user's is.
#pragma once

#include <clocale>
#include <locale.h>

namespace storage {

// For this thread and this scope only. Where a system lacks C.UTF-8 names still come out right,
// with warnings of libarchive's.
class Utf8Scope {
 public:
  Utf8Scope() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) previous_ = uselocale(locale_);
  }
  Utf8Scope(const Utf8Scope&) = delete;
  Utf8Scope& operator=(const Utf8Scope&) = delete;
  ~Utf8Scope() {
    if (locale_ == nullptr) return;
    uselocale(previous_);
    freelocale(locale_);
  }

 private:
  locale_t locale_, previous_ = nullptr;
};

}  // namespace storage
