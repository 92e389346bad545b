"""Runs a command under ptrace(2) and kills it right before one of its system calls: the same moment in every run."""

import ctypes
import os
import signal

PTRACE_TRACEME, PTRACE_SYSCALL, PTRACE_SETOPTIONS = 0, 24, 0x4200
PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACEEXEC, PTRACE_O_EXITKILL = 0x1, 0x10, 0x100000
EVENT_EXEC = signal.SIGTRAP | (4 << 8)
IN_CALL = signal.SIGTRAP | 0x80

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) == -1:
        raise OSError(ctypes.get_errno(), "ptrace")


def start_traced(words, output, environment):
    """A child that stops at its execve. It does not return into Python's own clean-up."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        null = os.open("/dev/null", os.O_RDWR)
        out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for theirs, ours in enumerate([null, out, out]):
            os.dup2(ours, theirs)
        os.setsid()
        ptrace(PTRACE_TRACEME, 0)
        os.execve(words[0], words, environment)
    finally:
        os._exit(126)


def run_until_call(words, number, output="/dev/null", environment=None):
    """Kills the command before its system call `number` (1: the first); its children live on. None, or its exit code where it
    ended before that by itself."""
    pid = start_traced(words, output, dict(os.environ) if environment is None else environment)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), f"{words[0]} did not start: {status}"
    ptrace(PTRACE_SETOPTIONS, pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)
    entering, calls, pending = True, 0, 0
    while True:
        ptrace(PTRACE_SYSCALL, pid, pending)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        pending = 0
        stop = status >> 8
        if stop == IN_CALL:
            calls += entering
            if entering and calls == number:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return None
            entering = not entering
        elif stop != EVENT_EXEC:
            pending = os.WSTOPSIG(status)
