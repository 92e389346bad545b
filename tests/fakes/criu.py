"""The part of criu that a container runtime talks to: `criu swrk FD`, one request on a socket in the form of its rpc.proto. A restored
process is a sibling in a network namespace of its own that sleeps. The first argument is a directory: each request goes into its file
`requests`, a JSON line each; while it has a file `fail`, nothing succeeds.
"""

import ctypes
import json
import os
import pathlib
import signal
import socket
import sys

from google.protobuf.json_format import MessageToDict
from pycriu import rpc_pb2 as rpc

SYS_CLONE, CLONE_PARENT, CLONE_NEWNET = {"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x8000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def answer(connection, kind, success=True, **fields):
    message = rpc.criu_resp(type=kind, success=success)
    for name, value in fields.items():
        getattr(message, name).CopyFrom(value)
    connection.send(message.SerializeToString())


def notify(connection, moment, pid):
    answer(connection, rpc.NOTIFY, notify=rpc.criu_notify(script=moment, pid=pid))
    reply = rpc.criu_req()
    reply.ParseFromString(connection.recv(65536))
    return reply.type == rpc.NOTIFY and reply.notify_success


def dump(connection, options):
    if not options.leave_running:
        os.kill(options.pid, signal.SIGKILL)
    answer(connection, rpc.DUMP, dump=rpc.criu_dump_resp())


def restore(connection, options):
    ready, done = os.pipe()
    pid = libc.syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        connection.close()
        libc.unshare(CLONE_NEWNET)
        os.setsid()
        os.execv("/bin/sleep", ["sleep", "1000"])
    os.close(done)
    os.read(ready, 1)  # until it executes
    if notify(connection, "setup-namespaces", pid):
        answer(connection, rpc.RESTORE, restore=rpc.criu_restore_resp(pid=pid))
    else:
        os.kill(pid, signal.SIGKILL)
        answer(connection, rpc.RESTORE, success=False)


def main():
    folder, word, number = sys.argv[1:]
    assert word == "swrk"
    connection = socket.socket(fileno=int(number))
    request = rpc.criu_req()
    request.ParseFromString(connection.recv(65536))
    with open(f"{folder}/requests", "a") as log:
        log.write(json.dumps(MessageToDict(request, preserving_proto_field_name=True)) + "\n")
    if pathlib.Path(folder, "fail").exists():
        answer(connection, request.type, success=False)
    elif request.type == rpc.FEATURE_CHECK:
        answer(connection, rpc.FEATURE_CHECK, features=rpc.criu_features())
    else:
        {rpc.DUMP: dump, rpc.SINGLE_PRE_DUMP: dump, rpc.RESTORE: restore}[request.type](connection, request.opts)
    connection.recv(1)  # until nobody listens any more


main()
