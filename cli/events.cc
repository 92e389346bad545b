// events: what happens in a store, as it happens.
#include "engine/events.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/filters.h"
#include "cli/moments.h"
#include "engine/template/template.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;

// docker's RFC3339NanoFixed in the caller's zone: always nine digits.
std::string local_time(base::Nanoseconds time) {
  const std::time_t seconds = time / 1'000'000'000;
  std::tm fields = {};
  localtime_r(&seconds, &fields);
  char date[32];
  char zone[8];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &fields);
  std::strftime(zone, sizeof zone, "%z", &fields);
  const std::string offset = std::string(zone, 3) + ":" + std::string(zone + 3);
  const std::string digits = std::to_string(1'000'000'000 + time % 1'000'000'000).substr(1);
  return std::string(date) + "." + digits + (offset == "+00:00" ? "Z" : offset);
}

Json attributes_of(const storage::Event& event) {
  const auto sorted = nlohmann::json::parse(event.attributes, nullptr, /*allow_exceptions=*/false);
  return sorted.is_object() ? Json::parse(sorted.dump()) : Json::object();
}

// "exec_start" of "exec_start: sh".
std::string plain_action(const std::string& action) { return action.substr(0, action.find(':')); }

bool has_status(const storage::Event& event) {
  return event.type == "container" || event.type == "image";
}

std::string text_attribute(const Json& attributes, const char* name) {
  const auto found = attributes.find(name);
  return found != attributes.end() && found->is_string() ? found->get<std::string>() : "";
}

bool names_actor(const storage::Event& event, const Json& attributes, const std::string& wanted) {
  return event.actor == wanted || (!wanted.empty() && event.actor.starts_with(wanted)) ||
         event.actor == "sha256:" + wanted || text_attribute(attributes, "name") == wanted;
}

bool fits_event(const storage::Event& event, const std::string& key, const std::string& value) {
  const Json attributes = attributes_of(event);
  if (key == "type") return event.type == value;
  if (key == "event") return event.action == value || plain_action(event.action) == value;
  if (key == "scope") return value == "local";
  if (key == "label") return matches_label_text(event.attributes, value);
  if (key == "image" && event.type == "container") {
    return text_attribute(attributes, "image") == value;
  }
  // container, image, network, volume, …: the type, and which one.
  return event.type == key && names_actor(event, attributes, value);
}

Json event_json(const storage::Event& event) {
  Json attributes = attributes_of(event);
  Json json = Json::object();
  if (has_status(event)) {
    json["status"] = event.action;
    json["id"] = event.actor;
    if (event.type == "container") json["from"] = text_attribute(attributes, "image");
  }
  json["Type"] = event.type;
  json["Action"] = event.action;
  json["Actor"] = {{"ID", event.actor}, {"Attributes", std::move(attributes)}};
  json["scope"] = "local";
  json["time"] = event.time / 1'000'000'000;
  json["timeNano"] = event.time;
  return json;
}

// The same with the names that a template sees: those of Go's fields.
nlohmann::json event_fields(const storage::Event& event) {
  const Json json = event_json(event);
  return nlohmann::json{{"Status", json.value("status", "")},
                        {"ID", json.value("id", "")},
                        {"From", json.value("from", "")},
                        {"Type", event.type},
                        {"Action", event.action},
                        {"Actor", nlohmann::json::parse(json["Actor"].dump())},
                        {"Scope", "local"},
                        {"Time", event.time / 1'000'000'000},
                        {"TimeNano", event.time}};
}

std::string event_line(const storage::Event& event) {
  std::string details;
  const Json attributes = attributes_of(event);
  for (const auto& [name, value] : attributes.items()) {
    details += (details.empty() ? "" : ", ") + name + "=" +
               (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return local_time(event.time) + " " + event.type + " " + event.action + " " + event.actor +
         (details.empty() ? "" : " (" + details + ")");
}

class EventPrinter {
 public:
  explicit EventPrinter(const std::string& format)
      : as_json_(format == "json" || format == "{{json .}}") {
    if (!as_json_ && !format.empty()) template_.emplace(format);
  }
  void operator()(const storage::Event& event) const {
    const auto replace = Json::error_handler_t::replace;
    print((as_json_    ? event_json(event).dump(-1, ' ', false, replace)
           : template_ ? template_->render(event_fields(event))
                       : event_line(event)) +
          "\n");
  }

 private:
  bool as_json_;
  std::optional<engine::Template> template_;
};

}  // namespace

int run_events(const Globals& globals, const Words& words) {
  std::string since;
  std::string until;
  std::string format;
  Words texts;
  parse_arguments({.command = "events", .synopsis = "[OPTIONS]", .summary = "Get real time events"},
                  {{"-f,--filter", "filter", "Filter output based on conditions provided", &texts},
                   {"--format", "string", "Format output: \"json\" or a Go template", &format},
                   {"--since", "string", "Show all events created since timestamp", &since},
                   {"--until", "string", "Stream events until this timestamp", &until}},
                  words);
  const Filters filters("events", texts);
  const EventPrinter show(format);
  const base::Nanoseconds from = parse_moment("--since", since);
  const base::Nanoseconds to = parse_moment("--until", until);
  engine::Engine engine(globals.config);
  // An end in the past asks for the past.
  const bool past = to != 0 && to <= base::now();
  engine::EventStream stream(engine.store(), from == 0 && past ? 1 : from);
  for (;;) {
    const base::Nanoseconds now = base::now();
    for (const storage::Event& event : stream.take()) {
      if (to != 0 && event.time > to) return 0;
      const auto fits = [&](const std::string& key, const std::string& value) {
        return fits_event(event, key, value);
      };
      if (filters.match(fits)) show(event);
    }
    if (to != 0 && now >= to) return 0;
    stream.wait(to == 0 ? -1
                        : static_cast<int>(
                              std::min<base::Nanoseconds>((to - now) / 1'000'000 + 1, 60'000)));
  }
}

}  // namespace cli
