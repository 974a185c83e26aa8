"""What engines, clients and model files may try, through the whole program; with an engine that can
be told to lie. The real engines' part is tests/external/engine_security_test.py."""

import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import program  # noqa: E402
from engine_child import FakeEngine, config, instance_of, load  # noqa: E402

TINY = program.tiny_model()
NO_MLX = "[backends.mlx]\nenabled = false\n"
ASK = {"model": "tiny", "prompt": "a", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
PYTHON = "/usr/bin/python3"  # that every user may run
MEMORY_MAX = 48 << 20  # that one lie may cost the server: a body of 1 MiB, some copies, its noise

LIES = [("--lie", lie) for lie in ("ids", "framing", "huge_chunk", "huge_head", "redirect",
                                   "interim", "endless_line", "gzip", "choice", "count", "status")]

HOSTILE_NAMES = [
    "..", "../x", "../../etc/passwd", "..\\x", "a/../b", "./tiny", "tiny/.", "tiny/", "/tiny",
    "%2e%2e/x", "..%2fx", "%252e", "tiny%00", "tiny\0", "tiny\0.gguf", "\0", "tiny ", " tiny",
    "tiny\n", "tiny\r\nX-Evil: 1", "tiny;id", "$(id)", "`id`", "|id", "-m", "--rpc", "~", "~root/x",
    "C:\\x", "C:", "\\\\host\\share", "CON", "file:///etc/passwd", "http://127.0.0.1:1/x",
    "data:,x", "/etc/passwd", "/etc/absent", "/dev/random", "/proc/self/environ", "tiny.", ".tiny",
    "tiny\u202e", "\u202eyn\u0131t", "ti\u0301ny", "\uff0e\uff0e/x", "tiny\ufeff", "\x1b[2Jtiny",
    "tiny\x7f", "x" * 300, "tiny:", ":tiny", "tiny::x", "hf://org/m", "models/tiny.gguf"]


class SecurityTest(program.ProgramTest):
    def start(self):
        folder = tempfile.mkdtemp(prefix="m-", dir="/tmp")  # short: a socket's path has its limit
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)  # what keeps others out must be the engine's own folder
        self.fake = FakeEngine(folder)
        self.own_home = self.home(models={"tiny": TINY}, config=config(self.fake.program, NO_MLX))
        return self.serve()

    def serve(self, *arguments):
        return self.keep(program.Server(self.own_home, *arguments, TMPDIR=str(self.fake.folder),
                                        XDG_RUNTIME_DIR=""))

    def again(self, server, *faults):
        """The engine anew, well so far."""
        self.fake.faults(*faults)
        server.post("/v1/models/unload", model="tiny", now=True)
        load(server, "tiny", "native")
        load(server, "tiny")
        status, answer = server.post("/v1/completions", **ASK)
        self.assertEqual((status, answer["minerva"]["backend"]), (200, "llama_cpp"))

    # --- S30 ---

    def test_each_lie_is_answered_by_another_engine(self):
        server = self.start()
        load(server, "tiny", "native")
        wanted = server.post("/v1/completions", backend="native", **ASK)[1]["choices"]
        for lie in LIES:
            with self.subTest(lie=lie):
                self.again(server, *lie)
                before = memory(server.process.pid)
                status, answer = server.post("/v1/completions", **ASK)
                self.assertEqual(status, 200, answer)
                self.assertEqual(answer["choices"], wanted)
                self.assertEqual(answer["minerva"]["backend"], "native")
                self.assertEqual([r["backend"] for r in answer["minerva"]["retries"]],
                                 ["llama_cpp"])
                self.assertNotRegex(json.dumps(answer), r"0x[0-9a-f]{6,}|/home/|Traceback|10\.0\.0")
                self.assertLess(memory(server.process.pid) - before, MEMORY_MAX)
        # The last one once more: that is held against it, and it is not asked again for a while. The
        # while is a second at first and doubles with each failure, however slow this machine is.
        program.wait_until(lambda: self.is_held_against_it(server), "it is not asked again")

    def is_held_against_it(self, server):
        server.post("/v1/completions", **ASK)
        is_open = instance_of(server)["breaker"] == "open"
        status, answer = server.post("/v1/completions", **ASK)
        self.assertEqual((status, answer["minerva"]["backend"]), (200, "native"))
        return is_open and "retries" not in answer["minerva"]

    # --- S23 ---

    def test_what_an_engine_streams_reaches_the_client_as_text_only(self):
        texts = ["\n\nevent: x\ndata: {}\n\n", "\r\r: c\r\n\r\nid: 1\r\nretry: 1\r\n",
                 "\u2028\u2029", "\0\a\x1b[2J", "data: [DONE]\n\n", "\ufeff", "\x85</script>",
                 "end"]
        body = b"\xef\xbb\xbf"
        for number, text in enumerate(texts, 1):
            event = {"index": 0, "content": text, "tokens": [], "stop": False,
                     "tokens_predicted": number}
            body += b"event: execute\nid: 7\nretry: 1\n: x\ndata: " + json.dumps(event).encode()
            body += b"\n\n"
        last = {"index": 0, "stop": True, "stop_type": "eos", "tokens_predicted": len(texts)}
        body += b"data: " + json.dumps(last).encode() + b"\n\ndata: {\"content\":\"after\"}\n\n"
        server = self.start()
        raw = pathlib.Path(self.fake.folder, "raw")
        raw.write_bytes(body)
        self.again(server, "--raw", str(raw))
        status, headers, got = server.request("POST", "/v1/completions",
                                              ASK | {"stream": True, "max_tokens": 400})
        self.assertEqual(status, 200, got)
        self.assertEqual(sse_text(self, got), "".join(texts))
        self.assertEqual(headers["x-minerva-backend"], "llama_cpp")
        for name in ("event", "id", "retry", "location", "set-cookie"):
            self.assertNotIn(name, {header.lower() for header in headers})

        raw.write_bytes(body.replace(b'"end"', b'"\xc3("'))  # invalid UTF-8
        self.again(server, "--raw", str(raw))
        _, _, got = server.request("POST", "/v1/completions",
                                   ASK | {"stream": True, "max_tokens": 400})
        self.assertIn(b'data: {"error":', got)
        self.assertNotIn(b"\xc3(", got)

    def test_nothing_of_a_request_becomes_a_header(self):
        server = self.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=program.WAIT_MAX)
        self.addCleanup(connection.close)
        for value in ("a b;<script>", "x" * 300, "\u00e9"):
            fields = {"model": "x\r\nX-Evil: 1", "prompt": "a", "x\r\nX-Evil: 1": 1}
            connection.request("POST", "/v1/completions", json.dumps(fields), {
                "Content-Type": "application/json", "X-Request-Id": value.encode("latin-1")})
            response = connection.getresponse()
            response.read()
            self.assertRegex(response.headers["x-request-id"], r"^[A-Za-z0-9._:/-]{1,200}$")
            self.assertIsNone(response.headers["x-evil"])

    # --- S26 ---

    def test_a_files_name_is_one_argument(self):
        odd = ["-m", "--rpc 127.0.0.1:1", "a b", "a;touch canary", "$(touch canary)", "'\"`&|*?",
               "a,b", "\u202ee\u0301"]
        server = self.start()
        server.close()
        folder = self.own_home.folder / "odd"
        folder.mkdir()
        tables = ""
        for number, name in enumerate(odd):
            (folder / f"{name}.gguf").symlink_to(pathlib.Path(TINY).resolve())
            path = json.dumps(str(folder / f"{name}.gguf"))
            tables += f'[models."odd{number}"]\npath = {path}\n'
        # `extra_args` are for the owner of the file; they come through as they are.
        extra = ["--log-prefix", "a b;$(touch canary) --rpc"]
        text = config(self.fake.program).replace(
            "parallel", f"extra_args = {json.dumps(extra)}\nparallel") + NO_MLX + tables
        (self.own_home.folder / "config.toml").write_text(text)
        server = self.serve()
        for number, name in enumerate(odd):
            with self.subTest(name=name):
                argv = self.seen_argv(server, f"odd{number}")
                self.assertEqual(argv[argv.index("-m") + 1], str(folder / f"{name}.gguf"))
                self.assertEqual(argv[-2:], extra)
                self.assertEqual(argv.count("-m"), 1)
        self.assertEqual(list(pathlib.Path(self.fake.folder).rglob("canary")), [])
        server.close()
        with_newline = text + '[models."n"]\npath = "/a\\nb.gguf"\n'
        (self.own_home.folder / "config.toml").write_text(with_newline)
        self.assertIn("takes no control characters", self.failure(self.own_home.run("serve")))

    def test_a_folders_name_may_hold_anything(self):
        server = self.start()
        server.close()
        folder = self.own_home.folder / "-m\n--rpc x;$(touch canary)\x1b"
        folder.mkdir()
        model = folder / "written.gguf"
        model.symlink_to(pathlib.Path(TINY).resolve())
        server = self.serve("--model", str(model))
        argv = self.seen_argv(server, "written")
        self.assertEqual(argv[argv.index("-m") + 1], str(model))

    def test_a_file_that_nobody_can_ask_for_is_listed_as_such(self):
        server = self.start()
        names = ("-m", "a b", "a;b", "a\nb", "..x", "\x1b[2J", "a'b", "~", "x" * 240)
        for name in names:
            (self.own_home.models / f"{name}.gguf").symlink_to(pathlib.Path(TINY).resolve())
        listed = json.loads(server.request("GET", "/v1/models")[2])["data"]
        problems = [model["minerva"]["problem"] for model in listed if model["id"] != "tiny"]
        self.assertEqual(len(problems), len(names))
        for problem in problems:
            self.assertIn("none that a client can ask for", problem)
        for name in names:
            self.assertEqual(server.post("/v1/models/load", model=name)[0], 404)

    def seen_argv(self, server, model):
        """llama-server's command line; the fake one is another program by now, its guard is not."""
        argv = [os.fsdecode(each) for each in load(server, model).parent().argv()]
        return argv[argv.index(str(self.fake.program)):]

    def test_no_request_reaches_the_command_line(self):
        server = self.start()
        before = self.seen_argv(server, "tiny")
        pid = instance_of(server)["pid"]
        evil = {"argv": ["--rpc", "x"], "extra_args": ["--rpc", "x"], "args": "--rpc x",
                "options": {"num_gpu": 1}, "path": "/etc/passwd", "gpu_layers": 9, "context": 9,
                "parallel": 9, "env": {"LD_PRELOAD": "x"}, "python": "/bin/sh", "mmproj": "/x",
                "adapters": ["/x"], "chat_template": "x", "log_file": "/x"}
        for name, value in evil.items():
            for path in ("/v1/models/load", "/v1/models/unload"):
                status, _, body = server.request("POST", path, {"model": "tiny", name: value})
                self.assertEqual((status, json.loads(body)["error"]["param"]), (400, name))
            status, _, _ = server.request("POST", "/v1/completions", ASK | {name: value})
            self.assertIn(status, (200, 400), name)
        for backend in ("llama_cpp --rpc", "../llama_cpp", "remote:x\n", "/bin/sh", ""):
            status, answer = server.post("/v1/models/load", model="tiny", backend=backend)
            self.assertEqual((status, answer["error"]["param"]), (400, "backend"), backend)
        self.assertEqual(instance_of(server)["pid"], pid)
        self.assertEqual(self.seen_argv(server, "tiny"), before)

    # --- S28 ---

    def test_nobody_else_reaches_the_engine(self):
        server = self.start()
        child = load(server, "tiny")
        path = pathlib.Path(child.value_of("--socket"))
        key = pathlib.Path(child.value_of("--api-key-file"))
        self.assertEqual(path.parent.stat().st_mode & 0o7777, 0o700)
        self.assertEqual(path.parent.stat().st_uid, os.geteuid())
        self.assertEqual(key.stat().st_mode & 0o7777, 0o600)
        self.assertLess(len(str(path)), 108)
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(str(path))  # it is there
        ports = {line.split()[9] for name in ("tcp", "tcp6")
                 for line in pathlib.Path("/proc/net", name).read_text().splitlines()[1:]
                 if line.split()[3] == "0A"}
        for link in pathlib.Path("/proc", str(child.pid), "fd").iterdir():
            number = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
            self.assertFalse(number and number[1] in ports, "the engine listens on a port")
        if os.geteuid() != 0 or not shutil.which("setpriv") or not os.path.exists(PYTHON):
            self.skipTest(f"NOT RUN: only root, with setpriv and {PYTHON}, can be another user")
        attempt = ("import socket,sys\nwith socket.socket(socket.AF_UNIX) as s:\n"
                   "  try: s.connect(sys.argv[1])\n  except PermissionError: sys.exit(7)")
        for where, code in ((path, 7), (key, 7)):
            done = subprocess.run(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                 PYTHON, "-c", attempt, where], check=False, capture_output=True,
                timeout=program.WAIT_MAX, cwd="/")
            self.assertEqual(done.returncode, code, done.stderr)

    # --- S36 ---

    def test_a_name_leads_nowhere(self):
        server = self.start()
        calls = [("/v1/models/load", {}), ("/v1/models/unload", {}), ("/v1/route", ASK),
                 ("/v1/completions", ASK),
                 ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})]
        for path, fields in calls:
            absent = server.post(path, **(fields | {"model": "absent"}))
            self.assertEqual(absent[0], 404)
            for name in [*HOSTILE_NAMES, str(pathlib.Path(TINY).resolve())]:
                with self.subTest(path=path, name=name):
                    got = server.post(path, **(fields | {"model": name}))
                    self.assertEqual(nameless(got), nameless(absent))
        self.assertIsNone(instance_of(server))  # and nothing was started for any of them


def nameless(answer):
    status, body = answer
    message = re.sub(r"^unknown model '.*'; known", "unknown; known", body["error"]["message"])
    return status, body["error"] | {"message": message}


def sse_text(test, body):
    """The text of a stream whose every line is one of ours."""
    text = ""
    test.assertNotIn(b"\r", body)
    for line in body.split(b"\n"):
        test.assertRegex(line, rb"^(data: (\{.*\}|\[DONE\])|:.*|)$")
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[len(b"data: "):])
        test.assertEqual(event["object"], "text_completion")
        text += "".join(choice["text"] for choice in event["choices"])
    test.assertEqual(body.count(b"[DONE]\n"), 1)
    test.assertTrue(body.endswith(b"data: [DONE]\n\n"))
    return text


def memory(pid):
    for line in pathlib.Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    unittest.main()
