#!/usr/bin/env python3
"""Switches between two models of which a memory cgroup holds one, but not both: `minerva serve` in
such a group is asked for them in turn by one client, and then at random by several at once.

    tests/chaos/switches.py --minerva BINARY --model GGUF [--backend native|llama_cpp]
                            [--llama LLAMA_SERVER] [--switches N] [--limit BYTES]

What one model takes is measured first; the limit lies half of that above it. It must hold that

- each answer is whole, and on the native engine always the same to the same question;
- the kernel ends no process (OOM), and no engine had to be restarted;
- the memory of all processes of the group (PSS) is never above the limit;
- the models were switched indeed, by the server's own count;
- loading and unloading by hand works and gives the memory back.

The last line is a summary in JSON. Exits with 1 when something did not hold, and with 77 after a
line "NOT RUN: reason" where it cannot be shown.
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
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import run_capped  # noqa: E402

NOT_RUN = 77
MIB = 1 << 20
NAMES = ("first", "second")
TOKENS = 8
CONTEXT = 1024
DEADLINE = 120  # seconds, of each request
SAMPLE_EVERY = 0.1
LEAK_SLACK = 16 * MIB  # what an allocator may keep of unloaded models


class NoLimit:
    """In place of a cgroup: one process and those below it, to see what a model takes."""

    def __init__(self):
        self.root = None

    def processes(self):
        found, todo = [], [self.root]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    todo += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                pass
        return found

    def usage(self):
        return 0


def pss(group):
    """The group's memory by /proc: what is shared between processes is counted once."""
    total = 0
    for pid in group.processes():
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+)", text, re.M).group(1)) << 10
        except (OSError, AttributeError):
            pass  # it has ended
    return total


class Sampler(threading.Thread):
    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.peak_pss, self.peak_usage, self.samples = group, 0, 0, 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(SAMPLE_EVERY):
            self.peak_pss = max(self.peak_pss, pss(self.group))
            self.peak_usage = max(self.peak_usage, self.group.usage())
            self.samples += 1

    def end(self):
        self.ending.set()
        self.join()


class Minerva:
    def __init__(self, options, folder, group):
        self.group = group
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MINERVA_")}
        environment |= {"MINERVA_HOME": str(folder / "home"), "TMPDIR": str(folder)}
        self.log = open(folder / "minerva.log", "ab")
        command = [options.minerva, "serve", "--port", "0"]
        how = {"env": environment, "stdout": subprocess.PIPE, "stderr": self.log}
        if isinstance(group, NoLimit):
            self.process = subprocess.Popen(command, **how)
            group.root = self.process.pid
        else:
            self.process = run_capped.start(group, command, **how)
        readable, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline().decode() if readable else ""
        match = re.search(r":(\d+)  ", line)
        if not match:
            sys.exit(f"the server did not start: {line!r}")
        self.port = int(match.group(1))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body and json.dumps(body),
                               {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def count(self, metric):
        """A counter's sum over its labels."""
        _, text = self.ask("GET", "/metrics")
        return sum(float(value) for value in
                   re.findall(rf"^minerva_{metric}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.M))

    def complete(self, model, number):
        """(None or what was wrong, text)"""
        body = {"model": model, "prompt": f"Item {number % 5} of the list is", "temperature": 0,
                "max_tokens": TOKENS, "ignore_eos": True, "timeout": DEADLINE}
        try:
            status, text = self.ask("POST", "/v1/completions", body)
        except (OSError, http.client.HTTPException) as error:
            return f"request {number} to {model}: {error!r}", None
        if status != 200:
            return f"request {number} to {model}: {status} {text}", None
        answer = json.loads(text)
        if (answer["usage"]["completion_tokens"] != TOKENS or answer["model"] != model
                or answer["choices"][0]["finish_reason"] != "length"):
            return f"request {number} to {model}: not whole: {text}", None
        return None, answer["choices"][0]["text"]

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Run:
    """What is asked of the server in its group, and what was found wrong."""

    def __init__(self, options, server):
        self.options, self.server, self.problems = options, server, []
        self.answers, self.lock, self.requests = {}, threading.Lock(), 0

    def one(self, model, number):
        problem, text = self.server.complete(model, number)
        with self.lock:
            self.requests += 1
            if problem is None and self.options.backend == "native":
                before = self.answers.setdefault(number % 5, text)
                if before != text:
                    problem = f"request {number} to {model}: {text!r} and before {before!r}"
            if problem:
                self.problems.append(problem)

    def in_turn(self):
        """Each request is a switch. """
        loads = self.server.count("model_loads_total")
        for number in range(self.options.switches):
            self.one(NAMES[number % 2], number)
            if number % 100 == 99:
                print(f"{number + 1} switches, {pss(self.server.group) >> 20} MiB", flush=True)
            if len(self.problems) > 10:
                return
        made = self.server.count("model_loads_total") - loads
        if made < self.options.switches:
            self.problems.append(f"{self.options.switches} requests in turn loaded a model "
                                 f"{made:.0f} times: both fit, and nothing was shown")

    def at_once(self):
        """Clients that do not care which model is there."""
        def client(seed):
            choose = random.Random(seed)
            for number in range(self.options.requests_each):
                if len(self.problems) > 10:
                    return
                self.one(choose.choice(NAMES), number)
        with concurrent.futures.ThreadPoolExecutor(self.options.clients) as pool:
            for result in [pool.submit(client, seed) for seed in range(self.options.clients)]:
                result.result()

    def expect(self, what, found, wanted):
        if found != wanted:
            self.problems.append(f"{what}: {found}, not {wanted}")

    def loaded(self):
        _, text = self.server.ask("GET", "/v1/ps")
        return [place["model"] for place in json.loads(text)["data"] if place["state"] == "ready"]

    def emptied(self):
        """Memory with nothing loaded, after each model was; what is kept are vocabularies."""
        for model in NAMES:
            self.one(model, 0)
        for model in self.loaded():
            status, _ = self.server.ask("POST", "/v1/models/unload", {"model": model})
            self.expect(f"unload {model}", status, 200)
        self.expect("loaded after all were unloaded", self.loaded(), [])
        return pss(self.server.group)

    def by_hand(self, empty):
        """Loading one is loading that one, and unloading gives back what it held."""
        for model in NAMES:
            status, text = self.server.ask("POST", "/v1/models/load", {"model": model})
            self.expect(f"load {model}", (status, self.loaded()), (200, [model]))
            if status == 200:
                held = json.loads(text)["memory_bytes"]
                self.expect(f"{model} holds memory", held > MIB, True)
            self.one(model, 0)
        status, _ = self.server.ask("POST", "/v1/models/unload", {"model": NAMES[1]})
        self.expect("unload", (status, self.loaded()), (200, []))
        left = pss(self.server.group)
        if left > empty + LEAK_SLACK:
            self.problems.append(f"{left >> 20} MiB after all was unloaded, and "
                                 f"{empty >> 20} MiB the first time")
        status, _ = self.server.ask("POST", "/v1/models/unload", {"model": NAMES[1]})
        self.expect("unload what is not loaded", status, 404)
        return left


def prepare(options, folder):
    models = folder / "home" / "models"
    models.mkdir(parents=True)
    for name in NAMES:
        # Copies, and out of the page cache: each is read by who is to pay for it.
        with open(models / f"{name}.gguf", "wb") as copy:
            with open(options.model, "rb") as source:
                shutil.copyfileobj(source, copy, MIB)
            copy.flush()
            os.fsync(copy.fileno())
            os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    llama = f'path = "{options.llama}"\n' if options.llama else "enabled = false\n"
    (folder / "home" / "config.toml").write_text(
        f'backend = "{options.backend}"\nfallback = []\nmodel_sources = ["none"]\n'
        f'load_wait_seconds = {DEADLINE}\ncontext = {CONTEXT}\n'
        f'[backends.llama_cpp]\n{llama}parallel = 4\n[backends.mlx]\nenabled = false\n')


def measure(options, folder):
    """(the server without a model, with one), without a limit."""
    server = Minerva(options, folder, NoLimit())
    try:
        empty = pss(server.group)
        sampler = Sampler(server.group)
        sampler.start()
        problem, _ = server.complete(NAMES[0], 0)
        sampler.end()
        if problem:
            sys.exit(f"not even without a limit: {problem}")
        return empty, max(sampler.peak_pss, pss(server.group))
    finally:
        server.end()
        for name in NAMES:
            with open(folder / "home" / "models" / f"{name}.gguf", "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def play(options, folder, group, summary):
    server = Minerva(options, folder, group)
    run = Run(options, server)
    sampler = Sampler(group)
    sampler.start()
    begin = time.monotonic()
    try:
        empty = run.emptied()
        begin = time.monotonic()
        run.in_turn()
        summary["seconds_in_turn"] = round(time.monotonic() - begin, 1)
        run.at_once()
        left = run.by_hand(empty)
        for name in ("model_loads_total", "model_evictions_total", "engine_restarts_total"):
            summary[name] = int(server.count(name))
        if summary["engine_restarts_total"]:
            run.problems.append(f"{summary['engine_restarts_total']} engines had to be restarted")
        summary |= {"empty_first_mib": empty >> 20, "empty_last_mib": left >> 20}
    finally:
        sampler.end()
        code = server.end()
    run.expect("the server's exit code", code, 0)
    report = group.report()
    if report["oom_kills"]:
        run.problems.append(f"the kernel ended {report['oom_kills']} processes")
    if sampler.peak_pss > group.limit:
        run.problems.append(f"the processes took {sampler.peak_pss >> 20} MiB, "
                            f"and {group.limit >> 20} is the limit")
    summary |= {"requests": run.requests, "peak_pss_mib": sampler.peak_pss >> 20,
                "samples": sampler.samples, "peak_usage_mib": report["max_usage_bytes"] >> 20,
                "limit_hits": report["limit_hits"], "oom_kills": report["oom_kills"],
                "seconds": round(time.monotonic() - begin, 1)}
    return run.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minerva", default=os.environ.get("MINERVA_BINARY"))
    parser.add_argument("--model", default=os.environ.get("MINERVA_SAMPLE_SMOLLM2"))
    parser.add_argument("--backend", default="native", choices=["native", "llama_cpp"])
    parser.add_argument("--llama", default=os.environ.get("MINERVA_LLAMA_SERVER"))
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests-each", type=int, default=10, help="of each client")
    parser.add_argument("--limit", type=run_capped.byte_count, help="instead of the measured one")
    parser.add_argument("--keep-log", help="a file that the server's log is left in")
    options = parser.parse_args()
    if not options.minerva:
        parser.error("--minerva is missing")
    if not options.model or (options.backend == "llama_cpp" and not options.llama):
        print("NOT RUN: no model (MINERVA_SAMPLE_SMOLLM2), or no llama-server "
              "(MINERVA_LLAMA_SERVER)")
        return NOT_RUN
    with tempfile.TemporaryDirectory(prefix="ms-") as name:
        folder = pathlib.Path(name)
        prepare(options, folder)
        empty, one = measure(options, folder)
        summary = {"backend": options.backend, "switches": options.switches,
                   "empty_alone_mib": empty >> 20, "with_one_mib": one >> 20}
        limit = options.limit or one + (one - empty) // 2
        summary["limit_mib"] = limit >> 20
        try:
            group = run_capped.Group(limit)
        except run_capped.NotHere as reason:
            print(f"NOT RUN: {reason}")
            return NOT_RUN
        try:
            problems = play(options, folder, group, summary)
        finally:
            group.remove()
            if options.keep_log:
                shutil.copy(folder / "minerva.log", options.keep_log)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print(json.dumps(summary | {"problems": len(problems)}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
