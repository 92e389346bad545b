// Calls: what a process may ask of sampan-registry, each answered by one function of
// registry::Client.
#pragma once

#include "base/trace.h"
#include "base/unique_fd.h"
#include "registry/client.h"

namespace cli {

// One call over its own stream socket, to the end: the result or the error is sent there.
void serve_call(registry::Client& client, base::UniqueFd socket) noexcept;

// A trace's sink: to whoever made the call that the calling thread serves.
void trace_to_caller(const base::TraceEvent& event) noexcept;

}  // namespace cli
