"""What users type wrong, and what a hostile tester types: one clear line in docker's words, its exit code, nothing left."""

import shlex

import pytest

WRONG = [
    # words ("BB": the image), exit code, what is said
    ("--bogus ps", 125, "unknown flag: --bogus"),
    ("--rot /x ps", 125, "unknown flag: --rot (did you mean --root?)"),
    ("--root", 125, "flag needs an argument: --root"),
    ("run --name", 125, "flag needs an argument: --name"),
    ("run --rm --pids-limit x BB true", 125, 'invalid argument "x" for "--pids-limit" flag: invalid syntax'),
    ("run --rm --pids-limit 99999999999999999999 BB true", 125,
     'invalid argument "99999999999999999999" for "--pids-limit" flag: value out of range'),
    ("run --rm --cpus 100000 BB true", 125, "Range of CPUs is from 0.01 to"),
    ("run --rm --cpus -1 BB true", 125, "--cpus"),
    ("run --rm --oom-score-adj 5000 BB true", 125, "Invalid value 5000, range for oom score adj is [-1000, 1000]"),
    ("run --rm --dns bogus BB true", 125, 'invalid argument "bogus" for "--dns" flag: bogus is not an ip address'),
    ("run --rm --add-host a:1.2.3 BB true", 125,
     'invalid argument "a:1.2.3" for "--add-host" flag: invalid IP address in add-host: "1.2.3"'),
    ("run --rm --add-host bogus BB true", 125, 'bad format for add-host: "bogus"'),
    ("run --rm -v /tmp:/x:rw,ro BB true", 125, "invalid mode: rw,ro"),
    ("run --rm -v /tmp:/x:bogus BB true", 125, "invalid mode: bogus"),
    ("run --rm -v /tmp:/x -v /etc:/x BB true", 125, "Duplicate mount point: /x"),
    ("run --rm -v rel/path:/x BB true", 125, "includes invalid characters for a local volume name"),
    ("run --rm --mount type=weird,src=/tmp,dst=/x BB true", 125, "weird"),
    ("run --rm --mount foo BB true", 125, "invalid field 'foo' must be a key=value pair"),
    ("run --rm -p 80: BB true", 125, "no port specified: 80:<empty>"),
    ("run --rm -p 70000:80 BB true", 125, "invalid hostPort: 70000"),
    ("run --rm -p 8083-8082:80-81 BB true", 125, "invalid hostPort: 8083-8082"),
    ("run --rm -p 8080:80/icmp BB true", 125, "invalid proto: icmp"),
    ("run --rm --name a/b BB true", 125, "Invalid container name (a/b)"),
    ("run --rm --stop-signal BOGUS BB true", 125, "Invalid signal: BOGUS"),
    ("run --rm -it BB true", 125, "the input device is not a TTY"),
    ("run --rm BB ''", 127, 'exec: "": executable file not found in $PATH'),
    ("run --rm BB -p", 127, 'exec: "-p": executable file not found in $PATH'),
    ("ps --filter bogus=1", 1, "invalid filter 'bogus'"),
    ("ps --filter bogus", 125, "bad format of filter (expected name=value)"),
    ("ps --filter status=weird", 1, "invalid filter 'status=weird'"),
    ("ps --filter exited=x", 1, "invalid filter 'exited=x'"),
    ("ps -n x", 125, 'invalid argument "x" for "-n, --last" flag: invalid syntax'),
    ("ps --format '{{.ID'", 1, "template parsing error: template: :1: unclosed action"),
    ("stop -t abc nope", 125, 'invalid argument "abc" for "-t, --timeout" flag: invalid syntax'),
    ("inspect nope", 1, "No such object: nope"),
    ("pull a:b:c", 1, "malformed tag"),
]


@pytest.mark.parametrize("words, code, told", WRONG, ids=[words for words, _, _ in WRONG])
def test_wrong_words(engine, busybox, words, code, told):
    refused = engine.run(*[busybox if word == "BB" else word for word in shlex.split(words)], code=code)
    assert told in refused.stderr
    lines = refused.stderr.splitlines()
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("See 'sampan "))
    assert engine.out("ps", "-aq") == "", "nothing half-made"


def test_global_flags_come_before_the_command_only(engine, busybox):
    assert engine.run("-D", "ps", "-q").stderr.startswith("debug: ")
    assert engine.out("--version").startswith("sampan version ")
    listed = engine.out("--help")
    assert "Global Options:" in listed and "--cgroup-parent string" in listed and "Create and run a new container" in listed
    assert engine.out("run", "--rm", busybox, "echo", "--root", "-D") == "--root -D"
    assert engine.out("run", "--rm", busybox, "echo", "--x=") == "--x="
