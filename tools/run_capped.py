#!/usr/bin/env python3
"""Runs a command under a memory limit of its own (a cgroup of version 1 or 2) and reports, as one
line of JSON on stderr or in --report FILE: exit_code, limit_bytes, max_usage_bytes, limit_hits,
oom_kills.

    tools/run_capped.py --memory 2G [--report FILE] [--] COMMAND...

limit_hits counts the times that the kernel had to take memory back at the limit, which a program
that reads large files does without harm (with version 1, some kernels leave it at 0); oom_kills are
processes it had to end. What the command leaves running is killed. Exits as the command does (128 + signal), or with 77 after a line
"NOT RUN: reason" where this machine lets nobody make such a group.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
NOT_RUN = 77


class NotHere(Exception):
    """Why no group can be made."""


def byte_count(text):
    number = text.rstrip("KMG")
    return int(number) * UNITS[text[len(number):]]


def mounts():
    """(root, folder, type, options) of each mounted hierarchy, from mountinfo (proc(5))."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            fields = head.split()
            yield fields[3], pathlib.Path(fields[4]), kind, options.split(",")


def own_group():
    """Our group's path in the hierarchy of version 1 that counts memory."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return path
    return "/"


class Group:
    """A cgroup below our own, so that the limits which hold for us hold for it too."""

    NAME = f"minerva_capped_{os.getpid()}"

    def __init__(self, limit):
        self.limit = limit
        for root, folder, kind, options in mounts():
            if kind == "cgroup" and "memory" in options:
                path = own_group()
                if root != "/" and (path == root or path.startswith(root + "/")):
                    path = path[len(root):]
                parent = folder / path.strip("/")
                self.folder = (parent if parent.is_dir() else folder) / self.NAME
                self.v2 = False
                break
            controllers = folder / "cgroup.controllers"
            if kind == "cgroup2" and "memory" in controllers.read_text().split():
                self.folder = folder / self.NAME
                self.v2 = True
                break
        else:
            raise NotHere("no cgroup file system that counts memory is mounted")
        try:
            self.make()
        except OSError as error:
            raise NotHere(f"cannot make a memory cgroup: {error}") from error

    def make(self):
        if self.v2:
            # A group with members cannot hand memory on to groups below it, except the root.
            (self.folder.parent / "cgroup.subtree_control").write_text("+memory")
        self.folder.mkdir()
        try:
            self.write("memory.max" if self.v2 else "memory.limit_in_bytes", self.limit)
            # No way around the limit through swap, where the kernel counts it.
            swap = self.folder / ("memory.swap.max" if self.v2 else "memory.memsw.limit_in_bytes")
            if swap.exists():
                swap.write_text("0" if self.v2 else str(self.limit))
        except OSError:
            self.folder.rmdir()
            raise

    def write(self, name, value):
        (self.folder / name).write_text(str(value))

    def number(self, name, key=None):
        """The number in a file, or in its line that begins with key; 0 where there is none."""
        try:
            for line in (self.folder / name).read_text().splitlines():
                words = line.split()
                if key is None or words[0] == key:
                    return int(words[-1])
        except OSError:
            pass
        return 0

    def processes(self):
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def usage(self):
        return self.number("memory.current" if self.v2 else "memory.usage_in_bytes")

    def report(self):
        if self.v2:
            return {"max_usage_bytes": self.number("memory.peak"),
                    "limit_hits": self.number("memory.events", "max"),
                    "oom_kills": self.number("memory.events", "oom_kill")}
        return {"max_usage_bytes": self.number("memory.max_usage_in_bytes"),
                # Of the limit with swap, which is the same here and asked first.
                "limit_hits": self.number("memory.failcnt") + self.number("memory.memsw.failcnt"),
                "oom_kills": self.number("memory.oom_control", "oom_kill")}

    def remove(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.05)  # the kernel takes its time with the pages of the dead
        print(f"run_capped: {self.folder} cannot be removed", file=sys.stderr)


def start(group, command, **options):
    """A subprocess.Popen of the command in the group; the options are Popen's."""
    # A shell puts itself into the group before it becomes the command, so no byte is uncounted.
    join = 'echo $$ > "$0" && exec "$@"'
    return subprocess.Popen(["sh", "-c", join, str(group.folder / "cgroup.procs"), *command],
                            **options)


def run(group, command):
    process = start(group, command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda which, _: process.send_signal(which))
    code = process.wait()
    return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser(description="runs a command under a memory limit")
    parser.add_argument("--memory", type=byte_count, required=True, help="bytes, or 512M, 2G")
    parser.add_argument("--report", type=pathlib.Path, help="file for the report; else stderr")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[arguments.command[:1] == ["--"]:]
    if not command:
        parser.error("no command")
    try:
        group = Group(arguments.memory)
    except NotHere as reason:
        print(f"NOT RUN: {reason}")
        return NOT_RUN
    try:
        code = run(group, command)
        report = {"exit_code": code, "limit_bytes": arguments.memory, **group.report()}
    finally:
        group.remove()
    text = json.dumps(report)
    if arguments.report:
        arguments.report.write_text(text + "\n")
    else:
        print(text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
