"""What must be true of a store at rest: rows, processes, cgroups, mounts, links, leases, firewall elements and directories agree."""

import json
import os
import pathlib
import re
import socket
import sqlite3
import subprocess

CREATED, RUNNING, PAUSED, EXITED, REMOVING, DEAD, RESTARTING = range(7)
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


def rows_of(store, table):
    connection = sqlite3.connect(store.root / "sampan.db")
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    finally:
        connection.close()


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def read_words(path):
    """What went since is empty."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def interrupted_removals(store):
    """Volumes of which a killed `volume rm` has left the row."""
    return [row["name"] for row in rows_of(store, "volumes") if not (store.root / "volumes" / row["name"]).exists()]


def names_in(folder):
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def firewall():
    """The elements of the store's table: set or map -> list."""
    listed = json.loads(subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout)
    return {item[kind]["name"]: item[kind].get("elem", []) for item in listed["nftables"] for kind in ("set", "map") if kind in item}


def ports_of(attachment):
    """(of version 6, protocol, port of the host, port in the container): an entry may be a run of ports at several addresses."""
    for run in attachment["ports"]:
        for step in range(run.get("count", 1)):
            for address in [run["hostAddress"], *run.get("moreAddresses", [])]:
                yield ":" in address, run["protocol"], run["hostPort"] + step, run["containerPort"] + step


def link_names(key, interface):
    """What the host's end may be called (network/bridge.cc, link_id): by the container's first digits, or by eleven that mix all there is."""
    yield "ve" + key[:11]
    for attempt in range(8):
        mixed = 0xcbf29ce484222325
        for byte in f"{key}/{interface}/{attempt}".encode():
            mixed = (mixed ^ byte) * 0x100000001b3 % (1 << 64)
        yield f"ve{mixed:016x}"[:13]


class Snapshot:
    """Everything that is looked at, read at about the same time; problems() says what does not fit together."""

    def __init__(self, store):
        self.store = store
        self.containers = {row["id"]: row for row in rows_of(store, "containers")}
        self.active = {key: row for key, row in self.containers.items() if row["status"] in (RUNNING, PAUSED, RESTARTING)}
        self.running = {key: row for key, row in self.active.items() if row["status"] != RESTARTING}
        self.networks = {row["name"]: json.loads(row["options"]) for row in rows_of(store, "networks")}
        self.attachments = {key: json.loads(row["ports"] or "[]") for key, row in self.running.items()}

    def problems(self):
        return [f"{check.__name__.removeprefix('check_')}: {problem}"
                for check in (self.check_rows, self.check_directories, self.check_processes, self.check_cgroups, self.check_mounts, self.check_links,
                              self.check_leases, self.check_elements, self.check_ports)
                for problem in check()]

    def name(self, key):
        row = self.containers.get(key)
        return f"{key[:12]} ({row['name']}, status {row['status']})" if row else f"{key[:12]} (no row)"

    def check_rows(self):
        for table in ("options",):
            for key in {row["id"] for row in rows_of(self.store, table)} ^ set(self.containers):
                yield f"{table} of {self.name(key)}"
        for key, row in self.containers.items():
            if row["status"] in (REMOVING, DEAD):
                yield f"{self.name(key)} is stuck"
        for row in rows_of(self.store, "hosts"):
            if row["container"] not in self.running:
                yield f"the name {row['name']} on {row['network']} leads to {self.name(row['container'])}"

    def check_directories(self):
        for key in names_in(self.store.root / "containers") - set(self.containers):
            yield f"containers/{key[:12]} without a row"
        for key in names_in(self.store.state) - {"seccomp", "revived"}:
            if key not in self.active:
                yield f"state directory {self.name(key) if len(key) == 64 else key}"
        for key in set(self.active) - names_in(self.store.state):
            yield f"{self.name(key)} has no state directory"
        for name in names_in(self.store.root / "staging"):
            yield f"staging/{name}"
        volumes = {row["name"] for row in rows_of(self.store, "volumes")}
        # Of a `volume create` that was killed an empty directory stays until the next thorough sweep.
        for name in names_in(self.store.root / "volumes") - volumes:
            if names_in(self.store.root / "volumes" / name / "_data"):
                yield f"volume {name} has files, but no row"

    def check_processes(self):
        monitors = set(self.store.monitors())
        for key, row in self.active.items():
            if row["monitor_pid"] not in monitors:
                yield f"{self.name(key)} has no monitor"
            monitors.discard(row["monitor_pid"])
        for key, row in self.running.items():
            if not is_alive(row["init_pid"]):
                yield f"the first process of {self.name(key)} is gone"
        for pid in monitors:
            yield f"monitor {pid} of nobody"

    def check_cgroups(self):
        found = {}
        for path in self.store.cgroups():
            found.setdefault(path.name, []).append(path)
        for key in set(found) ^ set(self.running):
            yield f"{self.name(key)}: {[str(path) for path in found.get(key, [])]}"
        for key, row in self.running.items():
            for path in found.get(key, []):
                if str(row["init_pid"]) not in read_words(path / "cgroup.procs"):
                    yield f"the first process of {self.name(key)} is not in {path}"

    def check_mounts(self):
        for line in open("/proc/mounts"):
            if str(self.store.folder) in line:
                yield line.split()[1]

    def check_links(self):
        links = {name for _, name in socket.if_nameindex()}
        count = sum(len(attachments) for attachments in self.attachments.values())
        veths = {name for name in links if name.startswith("ve")}
        if len(veths) != count:
            yield f"{len(veths)} links, {count} attachments"
        named = {name for key, attachments in self.attachments.items() for attachment in attachments for name in link_names(key, attachment["interface"])}
        for name in veths - named:
            yield f"{name} of nobody"
        bridges = {settings["bridge"] for settings in self.networks.values() if "bridge" in settings}
        for name in {name for name in links if name.startswith(("br-", "sp-"))} - bridges:
            yield f"bridge {name} without a network"
        for attachments in self.attachments.values():
            for attachment in attachments:
                if attachment["link"]["bridge"] not in links & bridges:
                    yield f"{attachment['network']}'s bridge is missing"

    def check_leases(self):
        leases = {(row["network"], row["container"]) for row in rows_of(self.store, "leases")}
        for network, key in leases:
            if key not in self.containers:
                yield f"an address on {network} of {self.name(key)}"
            if network.removesuffix("/6") not in self.networks:
                yield f"an address on {network}, which is gone, of {self.name(key)}"
        for key, attachments in self.attachments.items():
            for attachment in attachments:
                if (attachment["network"], key) not in leases:
                    yield f"{self.name(key)} is on {attachment['network']} without a lease"

    def check_elements(self):
        """Networks in sets: each that the firewall knows is one of ours, and each that is used is known."""
        sets = firewall()
        bridges = {settings["bridge"] for settings in self.networks.values() if "bridge" in settings}
        known = set(sets.get("bridges", []))
        for name in known - bridges:
            yield f"the firewall knows {name}, which is no network"
        for attachments in self.attachments.values():
            for attachment in attachments:
                if attachment["link"]["bridge"] not in known:
                    yield f"the firewall does not know {attachment['network']}"

    def check_ports(self):
        found = set()
        for name, elements in firewall().items():
            if not name.startswith("ports_of"):
                continue
            for element, target in elements:
                value = element["elem"]["val"]["concat"]
                found.add((element["elem"]["comment"], name.endswith("6"), PROTOCOLS[value[-2]], int(value[-1]), int(target["concat"][-1])))
        wanted = {(key, *port) for key, attachments in self.attachments.items() for attachment in attachments for port in ports_of(attachment)}
        # Ports on :: of a container without an address of version 6 are carried by its monitor, not translated.
        wanted6 = {entry for entry in wanted if entry[1]}
        for entry in (found - wanted) | ((wanted - wanted6) - found):
            yield f"{self.name(entry[0])}: {'published' if entry in found else 'not published'}: {entry[1:]}"


def check_inside(store):
    """What each running container sees is what its row says."""
    snapshot = Snapshot(store)
    for key, attachments in snapshot.attachments.items():
        if snapshot.running[key]["status"] != RUNNING or not attachments:
            continue
        pid = snapshot.running[key]["init_pid"]
        shown = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "-4", "addr"], capture_output=True, text=True).stdout
        addresses = {address for address in re.findall(r"inet ([0-9.]+)/", shown) if address != "127.0.0.1"}
        if addresses != {attachment["address"] for attachment in attachments} and is_alive(pid):
            yield f"{snapshot.name(key)} has {sorted(addresses)}, its row says {sorted(attachment['address'] for attachment in attachments)}"
