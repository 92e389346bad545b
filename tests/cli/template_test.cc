#include "cli/template.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace {

using nlohmann::json;

const json kValue = json::parse(R"({
  "ID": "abc", "Names": "web", "Running": true, "Stopped": false, "Code": 3, "Nothing": null,
  "State": {"Pid": 42, "Status": "running"},
  "Env": ["A=1", "B=2"], "Empty": [], "Labels": {"a.b": "x", "k": "v"},
  "Mounts": [{"Source": "/a", "RW": true}, {"Source": "/b", "RW": false}]
})");

// What docker prints for the same template over the same value.
constexpr std::pair<const char*, const char*> kRendered[] = {
    {"plain", "plain"},
    {"{{.ID}}", "abc"},
    {"{{ .ID }}:{{.Names}}", "abc:web"},
    {"{{.State.Pid}}", "42"},
    {"{{.Running}}", "true"},
    {"{{.Nothing}}", "<no value>"},
    {"{{.Env}}", "[A=1 B=2]"},
    {"{{.Labels}}", "map[a.b:x k:v]"},
    {"{{json .State}}", R"({"Pid":42,"Status":"running"})"},
    {"{{json .ID}}", "\"abc\""},
    {"{{.ID | json}}", "\"abc\""},
    {"{{join .Env \",\"}}", "A=1,B=2"},
    {"{{upper .Names}} {{lower \"AB\"}} {{title \"ab cd\"}}", "WEB ab Ab Cd"},
    {"{{index .Labels \"a.b\"}}", "x"},
    {"{{index .Labels \"none\"}}", ""},
    {"{{index .Env 1}}", "B=2"},
    {"{{range .Env}}{{if slice . 0 2 | eq \"B=\"}}{{slice . 2 | printf \"%q\"}}{{end}}{{end}}",
     "\"2\""},
    {"{{slice .ID 1 2}}{{slice .ID}}{{slice .Env 1}}", "babc[B=2]"},
    {"{{(index .Mounts 0).Source}}", "/a"},
    {"{{len .Env}}", "2"},
    {"{{range .Env}}{{.}};{{end}}", "A=1;B=2;"},
    {"{{range $i, $e := .Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "},
    {"{{range $k, $v := .Labels}}{{$k}}->{{$v}} {{end}}", "a.b->x k->v "},
    {"{{range .Empty}}x{{else}}none{{end}}", "none"},
    {"{{range .Mounts}}{{if .RW}}{{.Source}}{{end}}{{end}}", "/a"},
    {"{{if .Running}}up{{else}}down{{end}}", "up"},
    {"{{if .Stopped}}a{{else if eq .Code 3}}b{{else}}c{{end}}", "b"},
    {"{{if and .Running (not .Stopped)}}y{{end}}", "y"},
    {"{{with .State}}{{.Status}}{{end}}", "running"},
    {"{{$x := .ID}}{{with .State}}{{$x}}-{{.Pid}}-{{$.Names}}{{end}}", "abc-42-web"},
    {"{{printf \"%s-%d|%5s|%-4s|%%\" .ID .Code .ID .ID}}", "abc-3|  abc|abc |%"},
    {"{{println .ID}}", "abc\n"},
    {"{{split \"a/b\" \"/\"}}", "[a b]"},
    {"{{truncate .Names 2}}", "we"},
    {"{{pad .ID 1 2}}", " abc  "},
    {"a {{- .ID -}} b", "aabcb"},
    {"{{/* a comment */}}x", "x"},
    {"{{ne .Code 3}} {{lt .Code 4}} {{ge .Code 4}}", "false true false"},
    {"{{.Label \"k\"}}", "method k"},
};

TEST(Template, RendersWhatDockerRenders) {
  cli::Template::Methods methods;
  methods["Label"] = [](const std::string& name) { return "method " + name; };
  for (const auto& [text, expected] : kRendered) {
    SCOPED_TRACE(text);
    EXPECT_EQ(cli::Template(text).render(kValue, methods), expected);
  }
}

TEST(Template, RefusesWhatItCannotRead) {
  for (const char* text : {"{{", "{{.ID", "{{if .A}}x", "{{end}}", "{{else}}", "{{.ID | }}",
                           "{{(.ID}}", "{{\"x}}", "{{)}}", "{{range}}{{end}}"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(cli::Template{text}, base::Error);
  }
}

TEST(Template, RefusesWhatTheValueDoesNotHave) {
  for (const char* text :
       {"{{.Missing}}", "{{.ID.Sub}}", "{{.Nothing.Sub}}", "{{bogus .ID}}", "{{index .Env 7}}",
        "{{slice .ID 4}}", "{{slice .ID 2 1}}", "{{slice .Code 1}}", "{{split .Env \",\"}}",
        "{{join .Env}}", "{{$x}}", "{{range .ID}}{{end}}", "{{printf \"%s\"}}"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(cli::Template(text).render(kValue), base::Error);
  }
}

TEST(Template, DeepNestingIsAnErrorNotACrash) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "{{if .Running}}";
  EXPECT_THROW(cli::Template{text}, base::Error);
  std::string parens = "{{";
  parens.append(100'000, '(');
  EXPECT_THROW(cli::Template{parens}, base::Error);
}

}  // namespace
