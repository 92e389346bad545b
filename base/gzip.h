// Gzip: whole files to their compressed form and back, in constant memory.
#pragma once

namespace base {

// From where `in` stands to its end. Throw as base::check does; kCorrupt for what is no gzip.
void compress_gzip(int in, int out);
void inflate_gzip(int in, int out);

}  // namespace base
