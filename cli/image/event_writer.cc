#include "cli/image/event_writer.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace cli {
namespace {

// Registries choose some of the texts: what is not UTF-8 must not break a line.
std::string render(const nlohmann::ordered_json& document) {
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

const char* word_for(engine::PullEvent::Kind kind) {
  using Kind = engine::PullEvent::Kind;
  switch (kind) {
    case Kind::kResolved:
      return "resolved";
    case Kind::kLayerExists:
      return "exists";
    case Kind::kDownloading:
      return "downloading";
    case Kind::kUnpacking:
      return "unpacking";
    case Kind::kLayerDone:
      return "done";
    case Kind::kRetrying:
      return "retrying";
  }
  return "";
}

const char* word_for(engine::PushEvent::Kind kind) {
  using Kind = engine::PushEvent::Kind;
  switch (kind) {
    case Kind::kPreparing:
      return "preparing";
    case Kind::kExists:
      return "there";
    case Kind::kMounted:
      return "mounted";
    case Kind::kPushing:
      return "pushing";
    case Kind::kPushed:
      return "pushed";
    case Kind::kSkipped:
      return "skipped";
  }
  return "";
}

const char* word_for(base::ErrorKind kind) {
  using Kind = base::ErrorKind;
  switch (kind) {
    case Kind::kInvalid:
      return "invalid";
    case Kind::kNotFound:
      return "not_found";
    case Kind::kConflict:
      return "conflict";
    case Kind::kUnauthorized:
      return "unauthorized";
    case Kind::kUnavailable:
      return "unavailable";
    case Kind::kCorrupt:
      return "corrupt";
    case Kind::kNoSpace:
      return "no_space";
    case Kind::kUnsupported:
      return "unsupported";
    case Kind::kCommandNotFound:
    case Kind::kCommandNotRunnable:
    case Kind::kSystem:
      break;
  }
  return "system";
}

}  // namespace

void EventWriter::write(const std::string& line) {
  const std::lock_guard lock(mutex_);
  try {
    base::write_all(fd_, line);
  } catch (const base::Error&) {
    _exit(1);  // see the class
  }
}

void EventWriter::send(const engine::PullEvent& event) {
  write(render({{"event", word_for(event.kind)},
                {"layer", event.layer},
                {"current", event.current},
                {"total", event.total},
                {"text", event.text}}));
}

void EventWriter::send(const base::TraceEvent& event) {
  write(render({{"event", "trace"},
                {"room", event.room},
                {"text", event.text},
                {"duration", event.duration}}));
}

void EventWriter::send(const engine::PullResult& result) {
  write(render({{"event", "result"},
                {"image", result.image.str()},
                {"digest", result.digest.str()},
                {"changed", result.changed},
                {"warning", result.warning}}));
}

void EventWriter::send(const engine::PushEvent& event) {
  write(render({{"event", word_for(event.kind)},
                {"layer", event.layer},
                {"current", event.current},
                {"total", event.total},
                {"text", event.text}}));
}

void EventWriter::send_event(nlohmann::ordered_json fields) { write(render(fields)); }

void EventWriter::send_result(nlohmann::ordered_json fields) {
  fields["event"] = "result";
  write(render(fields));
}

void EventWriter::send(const base::Error& error) {
  write(render({{"event", "error"}, {"kind", word_for(error.kind())}, {"message", error.what()}}));
}

}  // namespace cli
