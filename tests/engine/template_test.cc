#include "engine/template/template.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace {

using nlohmann::json;

const json kValue = json::parse(R"({
  "ID": "abc", "Names": "web", "Running": true, "Stopped": false, "Code": 3, "Nothing": null,
  "State": {"Pid": 42, "Status": "running"},
  "Env": ["A=1", "B=2", "C=3"], "Empty": [], "Labels": {"a.b": "x", "k": "v"},
  "Mounts": [{"Source": "/a", "RW": true}, {"Source": "/b", "RW": false}], "Share": 2.5
})");

// What docker prints for the same template over the same value; most lines were put to docker 28's
// `inspect --format`.
constexpr std::pair<const char*, const char*> kRendered[] = {
    {"plain", "plain"},
    {"{{.ID}}", "abc"},
    {"{{ .ID }}:{{.Names}}", "abc:web"},
    {"{{.State.Pid}}", "42"},
    {"{{.Running}}", "true"},
    {"{{.Nothing}}", "<no value>"},
    {"{{.Env}}", "[A=1 B=2 C=3]"},
    {"{{.Labels}}", "map[a.b:x k:v]"},
    {"{{.Share}}", "2.5"},
    // Docker's functions.
    {"{{json .State}}", R"({"Pid":42,"Status":"running"})"},
    {"{{json .ID}}", "\"abc\""},
    {"{{json \"<&>\"}}", "\"<&>\""},
    {"{{json .Nothing}}", "null"},
    {"{{.ID | json}}", "\"abc\""},
    {"{{join .Env \",\"}}", "A=1,B=2,C=3"},
    {"{{join (split \"a b\" \" \") \"+\"}}", "a+b"},
    {"{{upper .Names}} {{lower \"AB\"}} {{title \"ab cd\"}}", "WEB ab Ab Cd"},
    {"{{split \"a/b\" \"/\"}}", "[a b]"},
    {"{{split \"a,b\" \",\" | json}}", R"(["a","b"])"},
    {"{{index .Env 0 | split \"=\"}}", "[=]"},
    {"{{index (split (index .Env 0) \"=\") 1}}", "1"},
    {"{{truncate .Names 2}}", "we"},
    {"{{pad .ID 1 2}}|{{pad \"\" 1 2}}|", " abc  ||"},
    // Go's functions.
    {"{{index .Labels \"a.b\"}}", "x"},
    {"{{index .Labels \"none\"}}", ""},
    {"{{index .Env 1}}", "B=2"},
    {"{{(index .Mounts 0).Source}}", "/a"},
    {"{{index .Mounts 1 \"Source\"}}", "/b"},
    {"{{len .Env}} {{len \"abc\"}} {{len .Labels}}", "3 3 2"},
    {"{{slice .ID 0 2 | len}}", "2"},
    {"{{slice \"abcdef\" 2}}|{{slice \"abcdef\" 1 3}}|{{slice \"abcdef\"}}", "cdef|bc|abcdef"},
    {"{{slice .Env 1}} {{slice .Env 0 1}}", "[B=2 C=3] [A=1]"},
    {"{{print 1 2 \"a\" \"b\" 3}} {{print \"a\" 1 2 \"b\"}}", "1 2ab3 a1 2b"},
    {"{{print (len .Env) (len \"ab\")}}", "3 2"},
    {"{{println \"a\" 1}}", "a 1\n"},
    {"{{println}}{{print}}", "\n"},
    {"{{html \"<a&b>'\\\"\"}}", "&lt;a&amp;b&gt;&#39;&#34;"},
    {"{{js \"a'b\\\"<x>\"}}", "a\\'b\\\"\\u003Cx\\u003E"},
    {"{{urlquery \"a b&c=d\"}}", "a+b%26c%3Dd"},
    {"{{and true (eq 1 1)}}", "true"},
    {"{{or true (index .Env 99)}}", "true"},
    {"{{and false (index .Env 99)}}", "false"},
    {"{{and 1 0 2}} {{or 0 \"\" \"x\"}} {{not 0}}", "0 x true"},
    {"{{ne .Code 3}} {{lt .Code 4}} {{ge .Code 4}}", "false true false"},
    {"{{eq 1 2 1}} {{eq nil nil}} {{eq .State.Status \"exited\" \"running\"}}", "true true true"},
    {"{{lt \"a\" \"b\"}} {{le 2 2}} {{gt 2 1}} {{ge 1 2}} {{ne 1 2}} {{lt 1.5 2.5}}",
     "true true true false true true"},
    // printf.
    {"{{printf \"%s-%d|%5s|%-4s|%%\" .ID .Code .ID .ID}}", "abc-3|  abc|abc |%"},
    {"{{printf \"%05d|%x|%X|%o|%b|%c|%q|%U\" 42 255 255 8 5 65 \"a\\\"b\" 66}}",
     "00042|ff|FF|10|101|A|\"a\\\"b\"|U+0042"},
    {"{{printf \"%6.2f|%e|%g|%v\" 3.14159 1234.5 0.1 2.50}}", "  3.14|1.234500e+03|0.1|2.5"},
    {"{{printf \"%+d|%-5d|%5s|%-5s|%.2s\" 5 5 \"ab\" \"ab\" \"abcd\"}}", "+5|5    |   ab|ab   |ab"},
    {"{{printf \"%t %v %s\" true .Stopped \"x\"}}", "true false x"},
    {"{{printf \"%d\" \"x\"}}", "%!d(string=x)"},
    {"{{printf \"%s\" 5}}", "%!s(int=5)"},
    {"{{printf \"%s\"}}", "%!s(MISSING)"},
    {"{{printf \"%s\" \"a\" \"b\"}}", "a%!(EXTRA string=b)"},
    {"{{printf \"%T\" \"a\"}}", "string"},
    {"{{printf \"%v %q\" .Empty .Env}}", "[] [\"A=1\" \"B=2\" \"C=3\"]"},
    {"{{.Env | len | printf \"%03d\"}}", "003"},
    {"{{\"x\" | upper | printf \"%s-%s\" \"y\"}}", "y-X"},
    {"{{.ID | printf \"%.2s\" | len}}", "2"},
    // Blocks.
    {"{{range .Env}}{{.}};{{end}}", "A=1;B=2;C=3;"},
    {"{{range .Env}}{{if eq . \"B=2\"}}{{break}}{{end}}{{.}};{{end}}", "A=1;"},
    {"{{range .Env}}{{if eq . \"B=2\"}}{{continue}}{{end}}{{.}};{{end}}", "A=1;C=3;"},
    {"{{range .Env}}{{with .}}{{range $.Mounts}}{{break}}{{end}}{{.}}{{end}}{{end}}", "A=1B=2C=3"},
    {"{{range $i, $e := .Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 2=C=3 "},
    {"{{range $i, $_ := .Env}}{{if $i}}, {{end}}{{$i}}{{end}}", "0, 1, 2"},
    {"{{range $k, $v := .Labels}}{{$k}}->{{$v}} {{end}}", "a.b->x k->v "},
    {"{{range .Empty}}x{{else}}none{{end}}", "none"},
    {"{{range split \"a,b\" \",\"}}[{{.}}]{{else}}none{{end}}", "[a][b]"},
    {"{{range .Mounts}}{{if .RW}}{{.Source}}{{end}}{{end}}", "/a"},
    {"{{if .Running}}up{{else}}down{{end}}", "up"},
    {"{{if eq 1 2 3}}a{{else if eq 1 1}}b{{else}}c{{end}}", "b"},
    {"{{if .Stopped}}a{{else if eq .Code 3}}b{{else}}c{{end}}", "b"},
    {"{{if .Stopped}}a{{else if eq .Code 4}}b{{else if eq .Code 5}}c{{else}}d{{end}}e", "de"},
    {"{{if and .Running (not .Stopped)}}y{{end}}", "y"},
    {"{{if .Empty}}x{{else}}empty{{end}}", "empty"},
    {"{{with .State}}{{.Status}}{{end}}", "running"},
    {"{{with $x := 3}}{{$x}}{{end}}", "3"},
    {"{{with index .Labels \"a.b\"}}{{.}}{{end}}", "x"},
    {"{{with .Nothing}}x{{else}}no health{{end}}", "no health"},
    {"{{$x := .ID}}{{with .State}}{{$x}}-{{.Pid}}-{{$.Names}}{{end}}", "abc-42-web"},
    {"{{$x := 1}}{{$x = 2}}{{$x}}", "2"},
    {"{{$x := 1}}{{if true}}{{$x = 5}}{{end}}{{$x}}", "5"},
    {"{{$x := 1}}{{if true}}{{$x := 5}}{{end}}{{$x}}", "1"},
    {"{{define \"t\"}}[{{.}}]{{end}}{{template \"t\" .Running}}", "[true]"},
    {"{{template \"t\" .ID}}{{define \"t\"}}<{{.}}{{$}}>{{end}}", "<abcabc>"},
    {"{{block \"b\" .Running}}<{{.}}>{{end}}", "<true>"},
    // Words.
    {"{{'a'}} {{0x10}} {{1_000}} {{1e3}} {{1.50}} {{-3}} {{0b11}} {{0o17}}",
     "97 16 1000 1000 1.5 -3 3 15"},
    {"{{\"a\\tb\\x41\\u00e9\"}} {{`raw\\n`}}", "a\tbA\xc3\xa9 raw\\n"},
    {"{{\"}}\"}}{{`}}`}}", "}}}}"},
    {"{{(.State).Pid}}", "42"},
    {"{{.Labels.nope}}", "<no value>"},
    // Trimming and comments.
    {"a {{- .ID -}} b", "aabcb"},
    {"a  {{- \" b \" -}}  c", "a b c"},
    {"a \n\t{{- .ID -}} \n b", "aabcb"},
    {"{{- 3}} {{3 -}} x", "3 3x"},
    {"{{range .Env -}} {{.}} {{- end}}", "A=1B=2C=3"},
    {"{{/* a comment */}}x", "x"},
    {"{{/* a }} comment */}}x", "x"},
    {"a {{/* c */ -}} b|a {{- /* c */ -}} b", "a b|ab"},
    {"{{.Label \"k\"}}", "method k"},
};

// What docker's documents leave out where it is empty, and what is null in them.
const json kContainer = json::parse(R"({
  "RestartCount": 0, "ExecIDs": null,
  "State": {"OOMKilled": false, "Status": "running"},
  "Config": {"WorkingDir": "", "Entrypoint": null, "Volumes": null, "Labels": {}},
  "HostConfig": {"CgroupnsMode": "private", "PidsLimit": null},
  "Mounts": [{"Type": "bind", "Destination": "/a"}, {"Name": "v", "Destination": "/b"}]
})");

constexpr std::pair<const char*, const char*> kAbsent[] = {
    {"{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"},
    {"{{with .State.Health}}{{.Status}}{{end}}", ""},
    {"{{json .State.Health}} {{.State.Health}}", "null <nil>"},
    {"{{range .Mounts}}[{{.Name}}]{{end}}", "[][v]"},
    {"{{.Config.Entrypoint}} {{json .Config.Entrypoint}} {{len .Config.Entrypoint}}", "[] null 0"},
    {"{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none"},
    {"{{join .Config.Entrypoint \",\"}}{{with $c := .Config}}{{$c.Volumes}}{{end}}", "map[]"},
    {"{{.Config.StopSignal}}{{.Config.StopTimeout}} {{.Config.NetworkDisabled}}", "<nil> false"},
    {"{{.HostConfig.PidsLimit}} {{(.HostConfig).Tmpfs}} {{.HostConfig.CpuCount}}", "<nil> map[] 0"},
    {"{{.ExecIDs}} {{.SizeRw}}", "[] <nil>"},
    {"{{json .State}}", R"({"OOMKilled":false,"Status":"running"})"},
};

TEST(Template, WhatADocumentLeavesOutIsEmpty) {
  for (const auto& [text, expected] : kAbsent) {
    SCOPED_TRACE(text);
    EXPECT_EQ(engine::Template(text).render(kContainer), expected);
  }
  EXPECT_THROW(engine::Template("{{.State.Health.Status}}").render(kContainer), base::Error);
  EXPECT_THROW(engine::Template("{{.State.Name}}").render(kContainer), base::Error);
}

TEST(Template, RendersWhatDockerRenders) {
  engine::Template::Methods methods;
  methods["Label"] = [](const std::string& name) { return "method " + name; };
  for (const auto& [text, expected] : kRendered) {
    SCOPED_TRACE(text);
    EXPECT_EQ(engine::Template(text).render(kValue, methods), expected);
  }
}

TEST(Template, RefusesWhatItCannotRead) {
  for (const char* text : {"{{",
                           "{{.ID",
                           "{{.ID}",
                           "{{if .A}}x",
                           "{{end}}",
                           "{{else}}",
                           "{{.ID | }}",
                           "{{(.ID}}",
                           "{{\"x}}",
                           "{{)}}",
                           "{{range}}{{end}}",
                           "{{if}}x{{end}}",
                           "{{break}}",
                           "{{continue}}",
                           "{{range .Env}}{{else}}{{break}}{{end}}",
                           "{{range .Env}}{{define \"x\"}}{{end}}{{end}}",
                           "{{1 | 2}}",
                           "{{3-2}}",
                           "{{0x}}",
                           "{{'ab'}}",
                           "{{bogus .ID}}",
                           "{{. }}x{{ end }}",
                           "{{\"\\q\"}}",
                           "{{/* x}}",
                           "{{template .ID}}",
                           "{{$a, $b, $c := .Env}}{{else}}",
                           "{{if .A}}{{else with .B}}{{end}}",
                           "{{range .Env}}{{block \"x\" .}}{{break}}{{end}}{{end}}"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(engine::Template{text}, base::Error);
  }
}

TEST(Template, RefusesWhatTheValueDoesNotHave) {
  for (const char* text : {"{{.Missing}}",
                           "{{.ID.Sub}}",
                           "{{.Nothing.Sub}}",
                           "{{index .Env 7}}",
                           "{{index .Env -1}}",
                           "{{split .Env \",\"}}",
                           "{{join .Env}}",
                           "{{$x}}",
                           "{{$x = 2}}",
                           "{{range .ID}}{{end}}",
                           "{{range 3}}{{end}}",
                           "{{nil}}",
                           "{{if nil}}{{end}}",
                           "{{eq \"a\" 1}}",
                           "{{lt 1 2.5}}",
                           "{{lt true false}}",
                           "{{eq .Env .Env}}",
                           "{{not true false}}",
                           "{{and}}",
                           "{{len 3}}",
                           "{{slice \"abc\" 2 5}}",
                           "{{slice .Env 5}}",
                           "{{slice .Env 2 1}}",
                           "{{slice \"abc\" 0 1 2}}",
                           "{{template \"none\"}}",
                           "{{call .ID}}",
                           "{{.Env.X}}",
                           "{{.ID .Names}}",
                           "{{or .Stopped (index .Env 99)}}"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(engine::Template(text).render(kValue), base::Error);
  }
}

TEST(Template, DeepNestingIsAnErrorNotACrash) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "{{if .Running}}";
  EXPECT_THROW(engine::Template{text}, base::Error);
  std::string otherwise = "{{if .A}}";
  for (int i = 0; i < 100'000; ++i) otherwise += "{{else if .A}}";
  EXPECT_THROW(engine::Template{otherwise}, base::Error);
  std::string parens = "{{";
  parens.append(100'000, '(');
  EXPECT_THROW(engine::Template{parens}, base::Error);
  EXPECT_THROW(engine::Template("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}")
                   .render(kValue),
               base::Error);
}

}  // namespace
