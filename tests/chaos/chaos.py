#!/usr/bin/env python3
"""Engines that die, stop, spin, hang, lie or are slow, under 32 streams; and what must hold of the
server in front of them:

- where another engine could answer, no request is lost before its first token;
- none ends later than its deadline;
- when the server is killed (SIGKILL), nothing that it started is left;
- files do not leak, and memory does not grow.

    tests/chaos/chaos.py --minerva BINARY --model GGUF --fake FAKE_ENGINE [--llama LLAMA_SERVER]
                         [--rounds N] [--streams N]

The last line is a summary in JSON. Exits with 1 when something did not hold.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid

DEADLINE = 90  # seconds, of each request
GRACE = 5  # and for the error to arrive
HERE = pathlib.Path(__file__).resolve().parent
FILES_SLACK = 12  # open files that may come and go: pipes of a child that is just being started

# What is done to an engine while it answers: (name, arguments of the next start, signal).
# A slow one gets as many streams as it answers at once: a queue before it is not what is shown.
SLOW = "slow but alive"
SLOW_STREAMS = 4
FAKE_ROUNDS = [
    ("killed", ["--token-delay-ms", "100"], signal.SIGKILL),
    ("stopped", ["--token-delay-ms", "100"], signal.SIGSTOP),
    ("dies", ["--die-at", "4"], None),
    ("dies inside a character", ["--die-inside-character", "--end-one-in", "0"], None),
    ("hangs", ["--hang-at", "3"], None),
    ("spins", ["--spin-at", "2"], None),
    ("lies about ids", ["--lie", "ids"], None),
    ("lies about its framing", ["--lie", "framing"], None),
    ("breaks its stream", ["--bad-sse", "cut"], None),
    ("ends with an error event", ["--bad-sse", "error_event"], None),
    ("health lies", ["--lie", "health"], None),
    ("ignores SIGTERM", ["--ignore-sigterm", "--hang-at", "2"], None),
    ("leaves a grandchild", ["--grandchild", "--die-at", "6"], None),
    (SLOW, ["--token-delay-ms", "5000"], None),
]
REAL_ROUNDS = [("killed", [], signal.SIGKILL), ("stopped", [], signal.SIGSTOP),
               ("aborted", [], signal.SIGABRT)]


class Minerva:
    def __init__(self, options, folder, llama, model_path):
        self.mark = folder / uuid.uuid4().hex[:8]  # short: sockets stand in it
        self.mark.mkdir()
        home = folder / "home"
        (home / "models").mkdir(parents=True, exist_ok=True)
        model = home / "models" / "tiny.gguf"
        model.unlink(missing_ok=True)
        model.symlink_to(pathlib.Path(model_path).resolve())
        (home / "config.toml").write_text(
            f'backend = "llama_cpp"\nfallback = ["native"]\nload_wait_seconds = {DEADLINE}\n'
            'context = 2048\nmodel_sources = ["none"]\nqueue = 512\n'
            f'[backends.llama_cpp]\npath = "{llama}"\nparallel = 4\n[backends.mlx]\nenabled = false\n')
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MINERVA_")}
        environment |= {"MINERVA_HOME": str(home), "TMPDIR": str(self.mark)}
        self.log = open(folder / "minerva.log", "ab")
        self.process = subprocess.Popen([options.minerva, "serve", "--port", "0"], env=environment,
                                        stdout=subprocess.PIPE, stderr=self.log)
        readable, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline().decode() if readable else ""
        match = re.search(r":(\d+)  ", line)
        if not match:
            sys.exit(f"the server did not start: {line!r}")
        self.port = int(match.group(1))

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def post(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def engine(self):
        """The llama_cpp instance, if there is one."""
        for backend in self.get("/v1/backends")["data"]:
            if backend["name"] == "llama_cpp" and backend["instances"]:
                return backend["instances"][0]
        return None

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
        return 0

    def marked(self):
        """Processes with our mark in their environment, besides the server itself."""
        wanted = f"TMPDIR={self.mark}".encode()
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == self.process.pid:
                continue
            try:
                if wanted in pathlib.Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                pass
        return found

    def kill(self):
        """Kills it as nothing can be ready for, and says what was left five seconds later."""
        started = self.marked()
        self.process.kill()
        self.process.wait()
        until = time.monotonic() + 5
        while self.marked() and time.monotonic() < until:
            time.sleep(0.05)
        return started, self.marked()


def stream(server, number):
    """One request: "answered", "cut" (after its first token) or "lost"; and what was said."""
    begin = time.monotonic()
    body = {"model": "tiny", "prompt": f"request {number} ", "stream": True, "max_tokens": 10,
            "temperature": 0, "ignore_eos": True, "timeout": DEADLINE}
    tokens, last, error = 0, None, None
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE + GRACE)
        connection.request("POST", "/v1/completions", json.dumps(body),
                           {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            error = response.read().decode()
        for line in response:
            if not line.startswith(b"data: ") or b"[DONE]" in line:
                continue
            event = json.loads(line[6:])
            error = event.get("error", error)
            if event.get("choices") and event["choices"][0].get("text"):
                tokens += 1
            last = event.get("minerva", last)
        connection.close()
    except OSError as failure:
        error = repr(failure)
    took = time.monotonic() - begin
    outcome = "answered" if error is None and last else ("cut" if tokens else "lost")
    return {"outcome": outcome, "seconds": took, "error": error, "minerva": last or {}}


def play(server, name, fault_signal, streams, pool):
    """One round: the streams, and the blow in the midst of them."""
    results = [pool.submit(stream, server, i) for i in range(streams)]
    if fault_signal is not None:
        time.sleep(random.uniform(0.05, 0.6))
        engine = server.engine()
        if engine and engine.get("pid"):
            try:
                os.kill(engine["pid"], fault_signal)
            except ProcessLookupError:
                pass
    answers = [result.result() for result in results]
    counts = {kind: sum(a["outcome"] == kind for a in answers)
              for kind in ("answered", "cut", "lost")}
    slowest = max(a["seconds"] for a in answers)
    retried = sum(bool(a["minerva"].get("retries")) for a in answers)
    lost = next((a["error"] for a in answers if a["outcome"] == "lost"), None)
    print(f"{name:28} {counts['answered']:3} answered {counts['cut']:3} cut {counts['lost']:3} "
          f"lost, {retried:3} by another engine, slowest {slowest:5.1f} s"
          + (f"  ({lost})" if lost else ""), flush=True)
    return counts, slowest


def prepare(server):
    """Both engines loaded, the first one anew. A breaker that is open says when to come again."""
    server.post("/v1/models/unload", {"model": "tiny", "now": True})
    for backend in ("native", "llama_cpp"):
        until = time.monotonic() + 120
        while True:
            status, answer = server.post("/v1/models/load", {"model": "tiny", "backend": backend})
            if status == 200:
                break
            if time.monotonic() > until:
                sys.exit(f"{backend} does not load: {answer}")
            time.sleep(0.5)
    # With an answer the engine's past is forgotten, so that all streams go to it.
    server.post("/v1/completions", {"model": "tiny", "prompt": "well?", "max_tokens": 1})


def run(options, rounds, llama, model, faults_file, folder, summary):
    server = Minerva(options, folder, llama, model)
    pool = concurrent.futures.ThreadPoolExecutor(options.streams)
    problems = []
    try:
        server.post("/v1/models/load", {"model": "tiny", "backend": "native"})
        files = memory = None
        for number in range(options.rounds):
            name, faults, fault_signal = rounds[number % len(rounds)]
            # A start is honest until it was found to be well and has answered once (prepare()).
            faults_file.write_text("\n".join(
                (["--honest-requests", "3"] if faults else []) + faults))
            prepare(server)
            streams = SLOW_STREAMS if name == SLOW else options.streams
            counts, slowest = play(server, name, fault_signal, streams, pool)
            for kind, count in counts.items():
                summary[kind] = summary.get(kind, 0) + count
            summary["rounds"] = summary.get("rounds", 0) + 1
            summary["slowest_seconds"] = round(max(summary.get("slowest_seconds", 0), slowest), 1)
            if counts["lost"]:
                problems.append(f"{name}: {counts['lost']} requests lost before their first token")
            if slowest > DEADLINE + GRACE:
                problems.append(f"{name}: a request took {slowest:.1f} s")
            if number == 2:  # warm
                files, memory = server.files(), server.memory()
        faults_file.write_text("")
        prepare(server)
        if files is not None:
            summary["files"] = [files, server.files()]
            summary["memory_mib"] = [memory >> 20, server.memory() >> 20]
            if server.files() > files + FILES_SLACK:
                problems.append(f"open files grew from {files} to {server.files()}")
            if server.memory() > memory * 1.25 + (64 << 20):
                problems.append(f"memory grew from {memory >> 20} to {server.memory() >> 20} MiB")
        started, left = server.kill()
        summary["children_at_the_kill"] = summary.get("children_at_the_kill", 0) + len(started)
        if not started:
            problems.append("no child was running when the server was killed, so nothing was shown")
        if left:
            problems.append(f"left behind after SIGKILL: {left}")
    finally:
        if server.process.poll() is None:
            server.process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minerva", default=os.environ.get("MINERVA_BINARY"))
    parser.add_argument("--model", default=os.environ.get("MINERVA_TEST_MODEL"))
    parser.add_argument("--fake", default=os.environ.get("FAKE_ENGINE"))
    parser.add_argument("--llama", default=os.environ.get("MINERVA_LLAMA_SERVER"))
    parser.add_argument("--llama-model", default=os.environ.get("MINERVA_SAMPLE_SMOLLM2"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-log", help="a file that the server's log is left in")
    options = parser.parse_args()
    random.seed(options.seed)
    problems, summary = [], {}
    with tempfile.TemporaryDirectory(prefix="mc-") as name:
        folder = pathlib.Path(name)
        if options.fake:
            (folder / "engine").symlink_to(pathlib.Path(options.fake).resolve())
            wrapper = folder / "llama-server"
            wrapper.symlink_to(HERE / "fake_llama_server.py")
            problems += run(options, FAKE_ROUNDS, wrapper, options.model, folder / "faults", folder,
                            summary.setdefault("fake_engine", {}))
        if not options.llama or not options.llama_model:
            print("NOT RUN: llama-server (MINERVA_LLAMA_SERVER or MINERVA_SAMPLE_SMOLLM2 is not set)")
        else:
            problems += run(options, REAL_ROUNDS, options.llama, options.llama_model,
                            folder / "unused", folder,
                            summary.setdefault("llama_server", {}))
        if options.keep_log:
            pathlib.Path(options.keep_log).write_bytes((folder / "minerva.log").read_bytes())
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print(json.dumps(summary | {"problems": len(problems)}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
