"""The part of systemd that a container runtime talks to: org.freedesktop.systemd1.Manager with transient scopes, on the bus of
DBUS_SYSTEM_BUS_ADDRESS; with a second argument, a user's manager in that group; with a third, without a bus, on that socket of its
own. Makes the groups of a scope as systemd does on a hybrid host, in the hierarchies by which it follows processes, and ends the
scope's processes when it is stopped. Writes each call as a JSON line to the file that it is given.
"""

import json
import os
import pathlib
import signal
import sys
import time

import dbus
import dbus.mainloop.glib
import dbus.server
import dbus.service
from gi.repository import GLib

MANAGER = "org.freedesktop.systemd1.Manager"
ROOTS = [pathlib.Path(root) for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
         if (pathlib.Path(root) / "cgroup.procs").exists()]


def plain(value):
    if isinstance(value, dbus.Array):
        return [plain(each) for each in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)


class Manager(dbus.service.Object):
    SUPPORTS_MULTIPLE_CONNECTIONS = True

    def __init__(self, bus, log, own_group):
        super().__init__(bus, "/org/freedesktop/systemd1" if bus else None)
        self.own_group = own_group
        self.log, self.units, self.jobs = open(log, "a", buffering=1), {}, 0

    def note(self, call, **what):
        self.log.write(json.dumps({"call": call, **what}) + "\n")

    def job(self, unit, result):
        self.jobs += 1
        path = f"/org/freedesktop/systemd1/job/{self.jobs}"
        GLib.timeout_add(20, lambda: self.JobRemoved(self.jobs, path, unit, result) and False)
        return path

    def groups(self, unit):
        return [root / self.units[unit] for root in ROOTS]

    @dbus.service.signal(MANAGER, signature="uoss")
    def JobRemoved(self, number, job, unit, result):
        pass

    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        self.note("Get", name=str(name))
        return {"ControlGroup": self.own_group or "/"}[str(name)]

    @dbus.service.method(MANAGER)
    def Subscribe(self):
        self.note("Subscribe")

    @dbus.service.method(MANAGER, in_signature="ssa(sv)a(sa(sv))", out_signature="o")
    def StartTransientUnit(self, name, mode, properties, auxiliary):
        values = {str(key): plain(value) for key, value in properties}
        self.note("StartTransientUnit", name=str(name), mode=str(mode), properties=values)
        if name in self.units:
            raise dbus.DBusException(f"Unit {name} already exists.", name="org.freedesktop.systemd1.UnitExists")
        if "refused" in name:
            return self.job(name, "failed")
        slices, stem = [], values["Slice"].removesuffix(".slice").split("-")
        for depth in range(len(stem)):
            slices.append("-".join(stem[:depth + 1]) + ".slice")
        self.units[name] = "/".join([*self.own_group.split("/"), *slices, name]).lstrip("/")
        for group in self.groups(name):
            group.mkdir(parents=True, exist_ok=True)
        self.attach(name, values["PIDs"])
        return self.job(name, "done")

    def attach(self, name, pids):
        for group in self.groups(name):
            for pid in pids:
                (group / "cgroup.procs").write_text(str(pid))

    @dbus.service.method(MANAGER, in_signature="ssau")
    def AttachProcessesToUnit(self, name, below, pids):
        self.note("AttachProcessesToUnit", name=str(name), pids=plain(pids))
        self.attach(name, plain(pids))

    @dbus.service.method(MANAGER, in_signature="sba(sv)")
    def SetUnitProperties(self, name, runtime, properties):
        self.note("SetUnitProperties", name=str(name), runtime=bool(runtime),
                  properties={str(key): plain(value) for key, value in properties})

    @dbus.service.method(MANAGER, in_signature="ss", out_signature="o")
    def StopUnit(self, name, mode):
        self.note("StopUnit", name=str(name), mode=str(mode))
        if name not in self.units:
            raise dbus.DBusException(f"Unit {name} not loaded.", name="org.freedesktop.systemd1.NoSuchUnit")
        for group in self.groups(name):
            for _ in range(100):
                pids = (group / "cgroup.procs").read_text().split() if group.exists() else []
                for pid in pids:
                    os.kill(int(pid), signal.SIGKILL)
                if not pids:
                    break
                time.sleep(0.01)
            if group.exists():
                group.rmdir()
        del self.units[name]
        return self.job(name, "done")


def serve_directly(path, manager):
    """As /run/systemd/private: every connection has the manager at its other end."""
    server = dbus.server.Server(f"unix:path={path}")
    server.on_connection_added.append(lambda connection: manager.add_to_connection(connection, "/org/freedesktop/systemd1"))
    server.on_connection_removed.append(lambda connection: manager.remove_from_connection(connection))
    return server


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    log, own_group, path = (sys.argv[1:] + ["", ""])[:3]
    if path:
        manager = Manager(None, log, own_group)
        served = serve_directly(path, manager)
        manager.note("ready", name=served.address)
    else:
        bus = dbus.SystemBus()
        name = dbus.service.BusName("org.freedesktop.systemd1", bus)
        manager = Manager(bus, log, own_group)
        manager.note("ready", name=name.get_name())
    GLib.MainLoop().run()


main()
