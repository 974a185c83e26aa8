"""The fake engine does what it says: honest answers in closed form, and each fault as ordered."""

import contextlib
import http.client
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time
import unittest

ENGINE = os.environ["FAKE_ENGINE"]
PATIENCE = 60  # seconds; reaching it is a failure, never a pass


class Engine:
    """A running fake_engine."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [ENGINE, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on (\d+)\n", line)
        self.port = int(match.group(1)) if match else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body):
        return self.ask("POST", path, json.dumps(body))

    def ask(self, method, path, body=None):
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")

    def ready(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.get("/health")[0] == 200:
                return True
        return False

    def stream(self, prompt, max_tokens=40, **more):
        """Raw bytes of a streamed completion, as far as they come."""
        body = {"prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True}
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", "/v1/completions", json.dumps(body | more))
            answer = connection.getresponse()
            try:
                return answer.read()
            except http.client.IncompleteRead as broken:
                return broken.partial

    def open_stream(self, max_tokens=40):
        """A raw socket on which a stream was asked for."""
        body = json.dumps({"prompt": "a", "max_tokens": max_tokens, "stream": True,
                           "ignore_eos": True})
        raw = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        raw.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return raw


def events(raw):
    return [part.removeprefix(b"data: ") for part in raw.split(b"\n\n") if part]


def text_of(raw):
    return "".join(
        choice["text"]
        for event in events(raw)
        if event != b"[DONE]"
        for choice in json.loads(event)["choices"]
    )


def read_until(raw, needle):
    seen = b""
    while needle not in seen:
        piece = raw.recv(4096)
        if not piece:
            break
        seen += piece
    return seen


class Honest(unittest.TestCase):
    def test_health_models_and_unknown_paths(self):
        with Engine("--model", "m") as engine:
            self.assertTrue(engine.ready())
            self.assertEqual(engine.get("/v1/models")[1]["data"][0]["id"], "m")
            self.assertEqual(engine.get("/nothing")[0], 404)

    def test_the_answer_is_a_function_of_the_whole_prefix(self):
        with Engine() as engine:
            self.assertTrue(engine.ready())
            raw = engine.stream("Once upon", 60)
            tokens = [
                token
                for event in events(raw)[:-1]
                for choice in json.loads(event)["choices"]
                for token in choice.get("token_ids", [])
            ]
            text = text_of(raw)
            self.assertGreater(len(text), 20)
            self.assertEqual(events(raw)[-1], b"[DONE]")
            self.assertNotEqual(text_of(engine.stream("Once upom", 60)), text)
            # Cut at any character, a second engine goes on with exactly the rest.
            for cut in range(1, len(text), 7):
                done = text[:cut].encode()
                rest = engine.stream(list(b"Once upon" + done), 60 - len(done))
                self.assertEqual(text[:cut] + text_of(rest), text)
            self.assertTrue(tokens)

    def test_whole_answers_usage_and_chat(self):
        with Engine("--script", "Hi é!") as engine:
            self.assertTrue(engine.ready())
            status, answer = engine.post("/v1/completions", {"prompt": "a", "max_tokens": 50})
            self.assertEqual(status, 200)
            self.assertEqual(answer["choices"][0]["text"], "Hi é!")
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
            self.assertEqual(answer["usage"]["completion_tokens"], 7)
            chat = {"messages": [{"role": "user", "content": "x"}]}
            answer = engine.post("/v1/chat/completions", chat)[1]
            self.assertEqual(answer["choices"][0]["message"]["content"], "Hi é!")
            raw = engine.stream("a", stream_options={"include_usage": True}, ignore_eos=False)
            self.assertEqual(json.loads(events(raw)[-2])["usage"]["completion_tokens"], 7)

    def test_requests_that_make_no_sense(self):
        with Engine("--ctx-size", "10") as engine:
            self.assertTrue(engine.ready())
            self.assertEqual(engine.post("/v1/completions", {})[0], 400)
            status, answer = engine.post("/v1/completions", {"prompt": "a" * 10})
            self.assertEqual(status, 400)
            self.assertEqual(answer["error"]["n_prompt_tokens"], 10)
            self.assertEqual(answer["error"]["n_ctx"], 10)

    def test_a_client_that_leaves_is_noticed(self):
        with Engine("--token-delay-ms", "5") as engine:
            self.assertTrue(engine.ready())
            raw = engine.open_stream(400)
            read_until(raw, b"data")
            self.assertEqual(engine.get("/fake/state")[1]["running"], 1)
            raw.close()
            until = time.monotonic() + PATIENCE
            while engine.get("/fake/state")[1]["running"] and time.monotonic() < until:
                pass
            self.assertEqual(engine.get("/fake/state")[1]["running"], 0)


class Faulty(unittest.TestCase):
    def test_slow_start_and_never_ready(self):
        with Engine("--slow-start-ms", "300") as engine:
            status, answer = engine.get("/health")
            self.assertEqual(status, 503)
            self.assertEqual(answer["error"]["message"], "Loading model")
            self.assertEqual(engine.post("/v1/completions", {"prompt": "a"})[0], 503)
            self.assertTrue(engine.ready())
        with Engine("--never-ready") as engine:
            for _ in range(20):
                self.assertEqual(engine.get("/health")[0], 503)

    def test_a_load_that_fails_and_a_taken_port(self):
        done = subprocess.run([ENGINE, "--fail-load"], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed to load model", done.stderr)
        with Engine() as engine:
            done = subprocess.run([ENGINE, "--port", str(engine.port)], capture_output=True,
                                  timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1)

    def test_hang_and_spin_look_healthy(self):
        for flag in ("--hang-at", "--spin-at"):
            with self.subTest(flag), Engine(flag, "3") as engine:
                self.assertTrue(engine.ready())
                raw = engine.open_stream()
                self.assertEqual(read_until(raw, b"data").count(b"[DONE]"), 0)
                self.assertEqual(engine.get("/health")[0], 200)
                raw.close()

    def test_stops_itself(self):
        with Engine("--sigstop-at", "3") as engine:
            self.assertTrue(engine.ready())
            raw = engine.open_stream()
            _, status = os.waitpid(engine.process.pid, os.WUNTRACED)
            self.assertTrue(os.WIFSTOPPED(status))
            self.assertEqual(os.WSTOPSIG(status), signal.SIGSTOP)
            os.kill(engine.process.pid, signal.SIGCONT)
            self.assertIn(b"[DONE]", read_until(raw, b"[DONE]"))
            raw.close()

    def test_dies(self):
        with Engine("--die-at", "5") as engine:
            self.assertTrue(engine.ready())
            self.assertNotIn(b"[DONE]", engine.stream("a"))
            self.assertEqual(engine.process.wait(PATIENCE), 1)
        with Engine("--die-inside-character", "--script", "ab 😀 cd") as engine:
            self.assertTrue(engine.ready())
            with engine.open_stream() as raw:
                self.assertTrue(read_until(raw, b"[DONE]").endswith(b'"text":"\xf0'))
            self.assertEqual(engine.process.wait(PATIENCE), 1)

    def test_streams_that_are_broken(self):
        broken = {}
        for mode in ("json", "cut", "no_done", "error_event"):
            with Engine("--bad-sse", mode) as engine:
                self.assertTrue(engine.ready())
                broken[mode] = engine.stream("a")
                if mode == "cut":  # http.client drops a chunk that is not whole
                    with engine.open_stream() as raw:
                        broken[mode] = read_until(raw, b"[DONE]")
        with self.assertRaises(ValueError):
            [json.loads(event) for event in events(broken["json"])]
        self.assertTrue(broken["cut"].endswith(b'{"index":0,'))
        self.assertNotIn(b"[DONE]", broken["no_done"])
        self.assertIn("error", json.loads(events(broken["error_event"])[-2]))
        self.assertEqual(events(broken["error_event"])[-1], b"[DONE]")

    def test_lies(self):
        seen = {}
        for mode in ("ids", "usage", "framing", "huge_chunk", "huge_head", "redirect", "interim"):
            with Engine("--lie", mode) as engine:
                self.assertTrue(engine.ready())
                with engine.open_stream() as raw:
                    seen[mode] = b""
                    while len(seen[mode]) < 50_000 and b"[DONE]" not in seen[mode]:
                        piece = raw.recv(65536)
                        seen[mode] += piece
                        if not piece or mode in ("framing", "redirect"):
                            break
        self.assertIn(b"1000000000", seen["ids"])
        self.assertIn(b"[DONE]", seen["usage"])
        self.assertIn(b"Content-Length: 5\r\nTransfer-Encoding: chunked", seen["framing"])
        self.assertIn(b"3b9aca00", seen["huge_chunk"])
        self.assertGreater(len(seen["huge_head"]), 16384)
        self.assertIn(b"302 Found", seen["redirect"])
        self.assertGreater(seen["interim"].count(b"HTTP/1.1 103"), 100)
        with Engine("--lie", "health") as engine:
            self.assertTrue(engine.ready())
            with engine.open_stream():
                self.assertEqual(engine.get("/health")[0], 200)

    def test_ignores_sigterm(self):
        with Engine("--ignore-sigterm") as engine:
            self.assertTrue(engine.ready())
            engine.process.terminate()
            self.assertTrue(engine.ready())
            self.assertIsNone(engine.process.poll())
        with Engine() as engine:
            self.assertTrue(engine.ready())
            engine.process.terminate()
            self.assertEqual(engine.process.wait(PATIENCE), -signal.SIGTERM)

    def test_a_grandchild_holds_the_pipes(self):
        with Engine("--grandchild") as engine:
            self.assertTrue(engine.ready())
            pid = engine.process.pid
            engine.process.kill()
            engine.process.wait(PATIENCE)
            # The end of the pipe does not come: somebody still has it open.
            with selectors.DefaultSelector() as selector:
                selector.register(engine.process.stdout, selectors.EVENT_READ)
                self.assertEqual(selector.select(0), [])
            left = [int(name) for name in os.listdir("/proc") if name.isdigit() and
                    holds(int(name), engine.process.stdout)]
            self.assertEqual(len(left), 1)
            self.assertNotEqual(left[0], pid)
            os.kill(left[0], signal.SIGKILL)
            self.assertEqual(engine.process.stdout.read(), "")


def holds(pid, pipe):
    """Whether another process has this pipe open."""
    if pid == os.getpid():
        return False
    inode = os.fstat(pipe.fileno()).st_ino
    try:
        return any(
            os.readlink(f"/proc/{pid}/fd/{fd}") == f"pipe:[{inode}]"
            for fd in os.listdir(f"/proc/{pid}/fd")
        )
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
