"""Children of a running Minerva as the system shows them, and a fake llama-server to be one."""

import json
import os
import pathlib

import program

FAKE_SERVER = program.ROOT / "tests" / "chaos" / "fake_llama_server.py"


def config(llama, tables="", **more):
    """Models run on `llama`, and on our own engine where that fails."""
    lines = {"backend": '"llama_cpp"', "fallback": '["native"]', "context": 512} | more
    return "".join(f"{name} = {value}\n" for name, value in lines.items()) + (
        f'[backends.llama_cpp]\npath = "{llama}"\nparallel = 2\n{tables}')


class FakeEngine:
    """A folder in which fake_engine is a llama-server; its next start has these faults."""

    def __init__(self, folder):
        engine = os.environ.get("MINERVA_FAKE_ENGINE")
        if not engine:
            program.not_run("MINERVA_FAKE_ENGINE is not set: run this through ctest")
        self.folder = pathlib.Path(folder)
        (self.folder / "engine").symlink_to(pathlib.Path(engine).resolve())
        self.program = self.folder / "llama-server"
        self.program.symlink_to(FAKE_SERVER)

    def faults(self, *arguments):
        """Not for the two requests that tell whether it is ready, and for one more."""
        honest = ["--honest-requests", "3"] if arguments else []
        (self.folder / "faults").write_text("\n".join([*honest, *arguments]))


def get(server, path):
    return json.loads(server.request("GET", path)[2])


def instance_of(server, backend="llama_cpp"):
    """What /v1/backends says of the engine's only instance."""
    found = [each for each in get(server, "/v1/backends")["data"] if each["name"] == backend]
    return found[0]["instances"][0] if found and found[0]["instances"] else None


def load(server, model, backend="llama_cpp"):
    """The engine's process that now has the model."""
    status, answer = server.post("/v1/models/load", model=model, backend=backend)
    assert status == 200, answer
    return Child(answer["pid"])


class Child:
    def __init__(self, pid):
        self.pid = pid

    def _list(self, name):
        return pathlib.Path("/proc", str(self.pid), name).read_bytes().split(b"\0")[:-1]

    def argv(self):
        return self._list("cmdline")

    def environment(self):
        return dict(os.fsdecode(entry).split("=", 1) for entry in self._list("environ"))

    def parent(self):
        status = pathlib.Path("/proc", str(self.pid), "status").read_text()
        return Child(int(status.split("PPid:")[1].split()[0]))

    def value_of(self, flag):
        argv = self.argv()
        return os.fsdecode(argv[argv.index(flag.encode()) + 1])
