"""The minerva program as the tests use it: started in a folder of its own, talked to over its pipes,
its port or a terminal. Every wait ends."""

import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

WAIT_MAX = 120  # seconds; on a busy machine with sanitizers
ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MINERVA_BINARY") or str(ROOT / "build" / "minerva")


def not_run(reason):
    print(f"NOT RUN: {reason}")
    sys.exit(77)


def wait_until(condition, what):
    """Asks again and again, but not for ever."""
    deadline = time.monotonic() + WAIT_MAX
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to it that {what}"


class Home:
    """A Minerva folder with models in it, and the environment that points there."""

    def __init__(self, models=None, config=None):
        self._holder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._holder.name)
        self.models = self.folder / "models"
        self.models.mkdir()
        for name, path in (models or {}).items():
            (self.models / f"{name}.gguf").symlink_to(pathlib.Path(path).resolve())
        if config is not None:
            (self.folder / "config.toml").write_text(config)

    def close(self):
        self._holder.cleanup()

    def environment(self, **more):
        """Nothing of ours from outside: an unknown MINERVA_ variable is an error; and no models of
        other programs, which a machine may have."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MINERVA_")}
        ours = {"MINERVA_HOME": str(self.folder), "MINERVA_MODEL_SOURCES": "none", "TERM": "xterm"}
        return clean | ours | more

    def run(self, *arguments, stdin=b"", **environment):
        """One command to its end: code, out and err."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run([BINARY, *map(str, arguments)], input=data, capture_output=True,
                              env=self.environment(**environment), timeout=WAIT_MAX, check=False)

    def json(self, *arguments, **keywords):
        done = self.run(*arguments, **keywords)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)


class Server:
    """`minerva serve` on a free port."""

    def __init__(self, home, *arguments, **environment):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--port", "0", *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=home.environment(**environment))
        self.ready_line = self._line()
        match = re.search(r"http://127\.0\.0\.1:(\d+)", self.ready_line)
        assert match, self.ready_line + self.process.communicate(timeout=WAIT_MAX)[1].decode()
        self.port = int(match.group(1))

    def _line(self):
        readable, _, _ = select.select([self.process.stdout], [], [], WAIT_MAX)
        return self.process.stdout.readline().decode() if readable else ""

    def request(self, method, path, body=None):
        """Status, headers and the body as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX)
        with contextlib.closing(connection):
            headers = {} if body is None else {"Content-Type": "application/json"}
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def post(self, path, **fields):
        status, _, body = self.request("POST", path, fields)
        return status, json.loads(body)

    def stream(self, path, **fields):
        """The open answer to a streaming request, and a generator of its events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_MAX)
        connection.request("POST", path, json.dumps(fields | {"stream": True}),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()

        def events():
            for line in response:
                if line.startswith(b"data: "):
                    data = line[len(b"data: "):].strip()
                    yield data.decode() if data == b"[DONE]" else json.loads(data)

        return connection, response, events()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """The exit code."""
        self.process.communicate(timeout=WAIT_MAX)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ValueError):  # its pipes were read already
            self.process.communicate(timeout=WAIT_MAX)


class Terminal:
    """The program on a terminal of its own, which keeps all that it shows."""

    def __init__(self, home, *arguments):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [BINARY, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave,
            env=home.environment(LC_ALL="C.UTF-8"), preexec_fn=own_terminal)
        os.close(slave)
        self.master = master
        self.shown = b""
        self.seen = 0

    def type(self, text):
        os.write(self.master, text.encode())

    def _edits(self):
        """True while the line editor has the terminal: input typed before that may be dropped."""
        return not termios.tcgetattr(self.master)[3] & termios.ICANON

    def _until_it_edits(self):
        deadline = time.monotonic() + WAIT_MAX
        while not self._edits() and time.monotonic() < deadline:
            self._read(time.monotonic() + 0.01)
        self._read(time.monotonic() + 0.05)

    def _read(self, deadline):
        readable, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
        if not readable:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            data = b""
        self.shown += data
        return bool(data)

    def expect(self, text):
        """Waits until this is shown, behind what was expected before."""
        deadline = time.monotonic() + WAIT_MAX
        wanted = text.encode()
        while self.shown.find(wanted, self.seen) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not shown; this was: {self.shown!r}")
        if text == ">>> ":
            self._until_it_edits()
        begin = self.seen
        self.seen = self.shown.find(wanted, self.seen) + len(wanted)
        return self.shown[begin:self.seen].decode(errors="replace")

    def interrupt_until(self, text):
        """Ctrl-C, again each second until this is shown: one that meets the terminal between the
        line editor's mode and the answer's is thrown away with the rest of the input."""
        wanted = text.encode()
        for _ in range(WAIT_MAX):
            self.type("\x03")
            deadline = time.monotonic() + 1
            while self.shown.find(wanted, self.seen) < 0 and self._read(deadline):
                pass
            if self.shown.find(wanted, self.seen) >= 0:
                break
        self.expect(text)

    def more_after(self, mark):
        """Waits until something is shown behind this position."""
        deadline = time.monotonic() + WAIT_MAX
        while len(self.shown) <= mark:
            if not self._read(deadline):
                raise AssertionError(f"nothing more was shown; this was: {self.shown!r}")

    def wait(self):
        deadline = time.monotonic() + WAIT_MAX
        while self._read(deadline):
            pass
        return self.process.wait(timeout=WAIT_MAX)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=WAIT_MAX)
        os.close(self.master)


class ProgramTest(unittest.TestCase):
    """Closes what a test has opened, also when it fails."""

    def keep(self, opened):
        self.addCleanup(opened.close)
        return opened

    def home(self, *arguments, **keywords):
        return self.keep(Home(*arguments, **keywords))

    def failure(self, done, code=1):
        """The error line of a command that failed."""
        self.assertEqual(done.returncode, code, done)
        error = done.stderr.decode()
        self.assertTrue(error.startswith("minerva: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        return error.removeprefix("minerva: ").rstrip("\n")


def tiny_model():
    path = os.environ.get("MINERVA_TEST_MODEL")
    if not path:
        not_run("MINERVA_TEST_MODEL is not set: run this through ctest")
    return path


def sample_model(variable):
    path = os.environ.get(variable)
    if not path or not os.path.exists(path):
        not_run(f"{variable} is not set: ./dev test --all fetches the sample models")
    return path


def copy_cut_short(source, target, size):
    with open(source, "rb") as file, open(target, "wb") as out:
        out.write(file.read(size))
