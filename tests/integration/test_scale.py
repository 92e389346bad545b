"""Ten thousand containers in one store."""

import json
import os
import resource
import sqlite3
import time

import pytest

COUNT = 10_000


@pytest.fixture
def full_store(sampan, busybox):
    """A store with ten thousand stopped containers: copies of one row, as so many `create`s would have made them."""
    sampan.run("pull", "-q", busybox)
    sampan.run("run", "--name", "first", "-l", "a=b", "-e", "X=1", "-v", "/data", busybox, "sh", "-c", "exit 3", code=3)
    connection = sqlite3.connect(sampan.root / "sampan.db")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(containers)")]
    (container,) = [dict(zip(columns, row)) for row in connection.execute("SELECT * FROM containers")]
    ((_, labels, options),) = list(connection.execute("SELECT id,labels,options FROM options"))
    with connection:
        for number in range(COUNT):
            row = {**container, "id": f"{number:064x}", "name": f"c{number}", "created": container["created"] + number}
            connection.execute(f"INSERT INTO containers({','.join(columns)}) VALUES({','.join('?' * len(columns))})", [row[name] for name in columns])
            connection.execute("INSERT INTO options VALUES(?,?,?)", (row["id"], labels, options))
    connection.close()
    yield sampan
    connection = sqlite3.connect(sampan.root / "sampan.db")
    with connection:
        for table in ("containers", "options"):
            connection.execute(f"DELETE FROM {table} WHERE id<?", (f"{COUNT:064x}",))
    connection.close()


def processor_time(sampan, *words):
    """The least of five runs: what the machine does meanwhile is not what is measured."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sampan.run(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


LABELS = "{{.ID}}\t{{.Labels}}"

# Milliseconds of processor time, about twice what they take on a machine that has nothing else to do.
COSTS = {
    ("ps",): 30,
    ("ps", "-a"): 100,
    ("ps", "-aq"): 100,
    ("ps", "-a", "--format", "{{.ID}}\t{{.Names}}\t{{.Status}}"): 100,
    ("ps", "-aq", "-f", "label=a=b"): 100,
    ("ps", "-aq", "-f", "label=a=c"): 100,
    ("ps", "-aq", "-f", "name=^c"): 100,
    ("ps", "-a", "--format", LABELS): 110,
    ("ps", "-a", "--format", "json"): 170,
}


@pytest.mark.parametrize("words", COSTS)
def test_ps_with_ten_thousand_containers(full_store, words):
    """Of each container only that is read which somebody will see."""
    none = words in [("ps",), ("ps", "-aq", "-f", "label=a=c")]
    expected = 0 if none else COUNT if "name=^c" in words else COUNT + 1
    heading = 1 if words in [("ps",), ("ps", "-a")] else 0
    lines = full_store.out(*words).splitlines()
    assert len(lines) == expected + heading
    if LABELS in words:
        assert all(line.endswith("\ta=b") for line in lines)
    seconds = processor_time(full_store, *words)
    print(f"{' '.join(words)}: {seconds * 1000:.0f} ms")
    assert seconds * 1000 < COSTS[words]


def test_json_of_ps_is_whole(full_store):
    rows = [json.loads(line) for line in full_store.out("ps", "-a", "--no-trunc", "--format", "json").splitlines()]
    assert [row["Names"] for row in rows[:2]] == [f"c{COUNT - 1}", f"c{COUNT - 2}"]
    assert list(rows[0]) == sorted(rows[0]) and len(rows[0]) == 14
    assert {row["Labels"] for row in rows} == {"a=b"} and {row["LocalVolumes"] for row in rows} == {"1"}
    assert {row["Networks"] for row in rows} == {"bridge"} and {row["Size"] for row in rows} == {"0B"}
    one = json.loads(full_store.out("ps", "-a", "-f", "name=^c7$", "--no-trunc", "--format", "{{json .}}"))
    (same,) = [row for row in rows if row["ID"] == one["ID"]]
    changing = {"RunningFor", "Status"}  # with the clock
    assert {**one, **{name: "" for name in changing}} == {**same, **{name: "" for name in changing}}


@pytest.mark.parametrize("filters, names", [
    (("before=c3",), ["c2", "c1", "c0", "first"]),
    ((f"since=c{COUNT - 3}",), [f"c{COUNT - 1}", f"c{COUNT - 2}"]),
    (("since=c5", "before=c8"), ["c7", "c6"]),
    (("before=" + "0" * 63 + "2", "name=c"), ["c1", "c0"]),
])
def test_before_and_since_go_by_the_order_of_the_list(full_store, filters, names):
    words = [word for text in filters for word in ("-f", text)]
    assert full_store.out("ps", "-a", *words, "--format", "{{.Names}}").split() == names
    assert "No such container: nobody" in full_store.run("ps", "-f", "since=nobody", code=1).stderr
