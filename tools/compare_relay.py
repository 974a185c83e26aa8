#!/usr/bin/env python3
"""What Minerva costs in front of llama-server: time to the first token and tokens a second, through
Minerva and from a bare llama-server that has the same command line and environment.

    tools/compare_relay.py --minerva build/minerva --llama LLAMA_SERVER [--pairs N] MODEL.gguf
    tools/compare_relay.py --minerva build/minerva --engine fake --fake FAKE_ENGINE MODEL.gguf

The second form measures the relay alone, before an engine that does no work: events a second, and
events for each second of processor time that Minerva used, pinned to one core; and the time to the
first token, which is then Minerva's whole part of it and a little more. Standard library only.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

START_MAX = 120  # seconds for a server to be ready
ANSWER_MAX = 300  # seconds for an answer
WARM_UP = 3  # pairs that are not counted
FAKE_CONTEXT = 8192
HERE = pathlib.Path(__file__).resolve().parent
FAKE_LLAMA = HERE.parent / "tests" / "chaos" / "fake_llama_server.py"


def load_average():
    return [round(value, 2) for value in os.getloadavg()]


# --- the servers ---


def stop(process):
    """Ends a process that we started, and waits for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_home(folder, options, llama):
    home = folder / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / "relay.gguf").symlink_to(pathlib.Path(options.model).resolve())
    (home / "config.toml").write_text(
        f'backend = "llama_cpp"\nfallback = []\ncontext = {options.context}\n'
        'model_sources = ["none"]\n'
        f'[backends.llama_cpp]\npath = {json.dumps(str(llama))}\nparallel = {options.parallel}\n'
        "[backends.mlx]\nenabled = false\n")
    return home


def get_json(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_MAX)
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@contextlib.contextmanager
def minerva(folder, options, llama):
    """`minerva serve` with the model loaded: its process, its port, the engine's process id."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MINERVA_")}
    environment |= {"MINERVA_HOME": str(write_home(folder, options, llama))}
    with open(folder / "minerva.log", "ab") as log:
        process = subprocess.Popen(
            [options.minerva, "serve", "--port", "0", "--model", "relay"], env=environment,
            stdout=subprocess.PIPE, stderr=log)
    try:
        readable, _, _ = select.select([process.stdout], [], [], START_MAX)
        line = process.stdout.readline().decode() if readable else ""
        found = re.search(r":(\d+)  ", line)
        if not found:
            sys.exit(f"minerva did not start: {line!r}\n{(folder / 'minerva.log').read_text()}")
        port = int(found.group(1))
        running = [instance["pid"] for backend in get_json(port, "/v1/backends")["data"]
                   if backend["name"] == "llama_cpp" for instance in backend["instances"]]
        if len(running) != 1:
            sys.exit(f"one llama_cpp instance was expected, and there are {len(running)}")
        yield process, port, running[0]
    finally:
        stop(process)


def fields_of(pid, name):
    """The command line or the environment of a process, as a list of strings."""
    content = pathlib.Path("/proc", str(pid), name).read_bytes()
    return [os.fsdecode(field) for field in content.split(b"\0")[:-1]]


def bare_arguments(arguments, port, key_file):
    """The same command line with an address and a key of its own."""
    changed = list(arguments)
    for flag, value in (("--host", "127.0.0.1"), ("--api-key-file", str(key_file))):
        changed[changed.index(flag) + 1] = value
    return changed + ["--port", str(port)]


@contextlib.contextmanager
def bare_server(folder, engine_pid):
    """llama-server as Minerva started it; its port, key and command line."""
    key_file = folder / "key"
    key_file.write_text("relay\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = bare_arguments(fields_of(engine_pid, "cmdline"), port, key_file)
    environment = dict(field.split("=", 1) for field in fields_of(engine_pid, "environ"))
    with open(folder / "bare.log", "ab") as log:
        # A session of its own, as Minerva's has: Linux shares the processors out between sessions.
        process = subprocess.Popen(arguments, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + START_MAX
        while True:
            with contextlib.suppress(OSError, ValueError):
                if get_json(port, "/health").get("status") == "ok":
                    break
            if process.poll() is not None or time.monotonic() > until:
                sys.exit("the bare llama-server did not start:\n"
                         + (folder / "bare.log").read_text()[-2000:])
            time.sleep(0.1)
        yield port, arguments
    finally:
        stop(process)


# --- one streamed answer, from the socket ---


def request_bytes(body):
    content = json.dumps(body).encode()
    return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Bearer relay\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + str(len(content)).encode() + b"\r\n\r\n" + content)


def arrivals(port, request):
    """(when, bytes) of what arrives, beginning with the empty one of the start: the connection is
    part of what a client waits for."""
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), ANSWER_MAX) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        yield begin, b""
        while block := connection.recv(1 << 16):
            yield time.perf_counter(), block


def data_lines(blocks):
    """(when, JSON) of every data line; the lines of the head and of the chunks' sizes are none."""
    rest = b""
    for when, block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                yield when, json.loads(line[6:])


def measure(port, body):
    """Time to the first text, tokens a second after it, and the text itself."""
    blocks = list(arrivals(port, request_bytes(body)))  # read while it comes, looked at afterwards
    begin = blocks[0][0]
    texts, times = [], []
    for when, event in data_lines(blocks):
        if "error" in event:
            sys.exit(f"the answer is an error: {event['error']}")
        if event.get("choices") and event["choices"][0].get("text"):
            texts.append(event["choices"][0]["text"])
            times.append(when)
    if len(times) < 2:
        sys.exit(f"no answer: {b''.join(block for _, block in blocks)[:500]!r}")
    return {"first_ms": (times[0] - begin) * 1000,
            "tokens_per_s": (body["max_tokens"] - 1) / (times[-1] - times[0]),
            "whole_ms": (blocks[-1][0] - begin) * 1000, "text": "".join(texts)}


# --- in front of the real engine ---


def prompt_of(number, words):
    """Different from its first word on, so that no prefix of it is in a cache."""
    subjects = ["river", "tower", "garden", "engine", "letter", "winter", "market", "harbour"]
    text = [f"{number * 7919 + 104729} travellers came."]
    text += [f"The {subjects[(number + i * i) % len(subjects)]} was {number + 3 * i} years old."
             for i in range(max(words // 6, 1))]
    return " ".join(text)


def summary_of(pairs, name):
    """Medians of both, and of what differs within the pairs: a machine that slows down slows both."""
    ours = [ours[name] for ours, _ in pairs]
    bare = [bare[name] for _, bare in pairs]
    ratios = sorted(a / b for a, b in zip(ours, bare))
    return {"minerva": statistics.median(ours), "bare": statistics.median(bare),
            "difference": statistics.median(a - b for a, b in zip(ours, bare)),
            "ratio": statistics.median(ratios),
            "ratio_quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]]}


def compare(options, folder):
    load_before = load_average()
    with minerva(folder, options, options.llama) as (_, port, engine_pid), \
            bare_server(folder, engine_pid) as (bare_port, arguments):
        pairs = []
        for number in range(-WARM_UP, options.pairs):
            body = {"model": "relay", "prompt": prompt_of(number + WARM_UP, options.prompt_words),
                    "stream": True, "temperature": 0, "max_tokens": options.max_tokens,
                    "ignore_eos": True}
            # Each goes first in half of the pairs.
            order = (port, bare_port) if number % 2 == 0 else (bare_port, port)
            measured = {where: measure(where, body) for where in order}
            if number >= 0:
                pairs.append((measured[port], measured[bare_port]))
    return {"engine": "llama_cpp", "model": pathlib.Path(options.model).name,
            "pairs": options.pairs, "max_tokens": options.max_tokens, "arguments": arguments[1:],
            "equal_texts": sum(ours["text"] == bare["text"] for ours, bare in pairs),
            "first_ms": summary_of(pairs, "first_ms"),
            "tokens_per_s": summary_of(pairs, "tokens_per_s"),
            "whole_ms": summary_of(pairs, "whole_ms"), "load": [load_before, load_average()]}


def print_comparison(result):
    print(f"{result['model']}, {result['pairs']} pairs of {result['max_tokens']} tokens, "
          f"{result['equal_texts']} with equal texts, load {result['load'][0][0]} to "
          f"{result['load'][1][0]}\n")
    print(f"{'MEDIAN':22} {'MINERVA':>9} {'BARE':>9} {'DIFFERENCE':>11} {'RATIO':>7}  QUARTILES")
    for label, name in (("first token, ms", "first_ms"), ("tokens/s", "tokens_per_s"),
                        ("whole answer, ms", "whole_ms")):
        row = result[name]
        low, high = row["ratio_quartiles"]
        print(f"{label:22} {row['minerva']:9.2f} {row['bare']:9.2f} {row['difference']:+11.2f} "
              f"{row['ratio']:7.3f}  {low:.3f} to {high:.3f}")


# --- the relay alone ---


def processor_seconds(pid):
    """Of all its threads, also those that have ended; its children not counted."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it on Linux


def pin(pid, cpu):
    """All threads that a process has now; new ones inherit it."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {cpu})


def pour(port, body, streams):
    """Takes `streams` answers at once; how many events with text came, and in how many reads."""
    request = request_bytes(body)
    open_streams = {}
    for _ in range(streams):
        connection = socket.create_connection(("127.0.0.1", port), ANSWER_MAX)
        connection.sendall(request)
        open_streams[connection] = []
    poller = select.epoll()
    by_number = {connection.fileno(): connection for connection in open_streams}
    for number in by_number:
        poller.register(number, select.EPOLLIN)
    until = time.monotonic() + ANSWER_MAX
    while by_number:
        if time.monotonic() > until:
            sys.exit(f"{len(by_number)} answers did not end within {ANSWER_MAX} s")
        for number, _ in poller.poll(1):
            block = by_number[number].recv(1 << 18)
            open_streams[by_number[number]].append((0, block))
            if not block:
                poller.unregister(number)
                del by_number[number]
    events = 0
    for connection, blocks in open_streams.items():
        connection.close()
        for _, event in data_lines(blocks):
            if "error" in event:
                sys.exit(f"an answer ended with an error: {event['error']}")
            if event.get("choices") and event["choices"][0].get("text"):
                events += 1
    return events, sum(len(blocks) for blocks in open_streams.values())


def fake_engine_in(folder, options, flags):
    """A program that Minerva takes for llama-server, and that does what `flags` say."""
    (folder / "engine").symlink_to(pathlib.Path(options.fake).resolve())
    wrapper = folder / "llama-server"
    wrapper.symlink_to(FAKE_LLAMA)
    (folder / "faults").write_text("\n".join(
        ["--ctx-size", str(FAKE_CONTEXT), "--honest-requests", "1", "--end-one-in", "0"] + flags))
    return wrapper


def relay(options, folder, flags, streams):
    """One way of asking the fake engine. Minerva has one core; the engine and we have another."""
    folder.mkdir()
    wrapper = fake_engine_in(folder, options, flags)
    cpus = sorted(os.sched_getaffinity(0))
    rounds = []
    with minerva(folder, options, wrapper) as (process, port, engine_pid):
        if len(cpus) > 1:
            pin(process.pid, cpus[0])
            pin(engine_pid, cpus[1])
            pin(os.getpid(), cpus[1])
        body = {"model": "relay", "prompt": "a", "stream": True, "temperature": 0,
                "max_tokens": options.events, "ignore_eos": True}
        pour(port, body | {"max_tokens": 8}, 1)  # the engine's honest one
        for number in range(-1, options.rounds):
            used, begin = processor_seconds(process.pid), time.perf_counter()
            events, reads = pour(port, body, streams)
            took = time.perf_counter() - begin
            used = processor_seconds(process.pid) - used
            if number >= 0:
                rounds.append({"events": events, "seconds": took, "processor_seconds": used,
                               "events_per_s": events / took, "reads": reads,
                               "events_per_processor_s": events / max(used, 1e-6)})
    os.sched_setaffinity(0, cpus)
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    return middle | {"streams": streams, "events_wanted": streams * options.events}


def first_tokens(options, folder):
    """Milliseconds to the first text of short answers, one after the other, nothing pinned."""
    folder.mkdir()
    engine = fake_engine_in(folder, options, ["--zero-work", "8"])
    with minerva(folder, options, engine) as (_, port, _):
        times = []
        for number in range(-WARM_UP, options.pairs):
            body = {"model": "relay", "prompt": prompt_of(number + WARM_UP, 2), "stream": True,
                    "temperature": 0, "max_tokens": 8, "ignore_eos": True}
            blocks = list(arrivals(port, request_bytes(body)))
            texts = [when for when, event in data_lines(blocks)
                     if event.get("choices") and event["choices"][0].get("text")]
            if number >= 0:
                times.append((texts[0] - blocks[0][0]) * 1000)
    return {"requests": len(times), "median_ms": statistics.median(times),
            "quartiles_ms": statistics.quantiles(times)[::2]}


def measure_relay(options, folder):
    load_before = load_average()
    flood = ["--zero-work", str(options.events)]
    results = {"flood": relay(options, folder / "flood", flood, 1),
               "paced": relay(options, folder / "paced", flood + ["--token-delay-ms", "1"],
                              options.parallel)}
    results["first_token"] = first_tokens(options, folder / "first")
    return {"engine": "fake", "rounds": options.rounds, "load": [load_before, load_average()],
            "one_core_each": len(os.sched_getaffinity(0)) > 1} | results


def print_relay(result):
    where = "Minerva on one core" if result["one_core_each"] else "all on the only core"
    print(f"medians of {result['rounds']} rounds, {where}, load {result['load'][0][0]} to "
          f"{result['load'][1][0]}\n")
    print(f"{'ENGINE':8} {'STREAMS':>7} {'EVENTS':>8} {'EVENTS/S':>9} {'PER PROCESSOR SECOND':>21} "
          f"{'READS':>8}")
    for name in ("flood", "paced"):
        row = result[name]
        print(f"{name:8} {row['streams']:7} {row['events']:8.0f} {row['events_per_s']:9.0f} "
              f"{row['events_per_processor_s']:21.0f} {row['reads']:8.0f}")
        if row["events"] != row["events_wanted"]:
            print(f"PROBLEM: {row['events_wanted']} events were wanted")
    first = result["first_token"]
    low, high = first["quartiles_ms"]
    print(f"first token: {first['median_ms']:.2f} ms, median of {first['requests']}, quartiles "
          f"{low:.2f} to {high:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minerva", default="build/minerva")
    parser.add_argument("--engine", choices=("llama_cpp", "fake"), default="llama_cpp")
    parser.add_argument("--llama", default=os.environ.get("MINERVA_LLAMA_SERVER"),
                        help="llama-server (MINERVA_LLAMA_SERVER)")
    parser.add_argument("--fake", help="the tests' fake_engine, for --engine fake")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--prompt-words", type=int, default=60)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--context", type=int, help="of the model")
    parser.add_argument("--parallel", type=int, help="the engine's sequences, and the paced streams")
    parser.add_argument("--rounds", type=int, default=5, help="of the fake engine")
    parser.add_argument("--events", type=int, help="of one of the fake engine's answers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("model", help="a GGUF file")
    options = parser.parse_args()
    fake = options.engine == "fake"
    options.context = options.context or (FAKE_CONTEXT if fake else 2048)
    options.parallel = options.parallel or (16 if fake else 4)
    options.events = options.events or (FAKE_CONTEXT - 192 if fake else 0)
    if fake and not options.fake:
        parser.error("--engine fake needs --fake FAKE_ENGINE")
    if not fake and not options.llama:
        parser.error("which llama-server? --llama, or MINERVA_LLAMA_SERVER")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with tempfile.TemporaryDirectory(prefix="mr-") as name:
        result = (measure_relay if fake else compare)(options, pathlib.Path(name))
    if options.json:
        print(json.dumps(result))
    else:
        (print_relay if fake else print_comparison)(result)
    problem = fake and any(result[kind]["events"] != result[kind]["events_wanted"]
                           for kind in ("flood", "paced"))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
