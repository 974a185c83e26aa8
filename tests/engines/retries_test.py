"""An engine that dies in the middle of an answer, through the whole program: what nobody has seen is
made again, and what was streamed ends with an honest error."""

import json
import shutil
import sys
import tempfile
import pathlib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import program  # noqa: E402
from engine_child import FakeEngine, config, instance_of, load  # noqa: E402

ASK = {"model": "tiny", "prompt": "a", "max_tokens": 12, "temperature": 0, "ignore_eos": True}


class RetriesTest(program.ProgramTest):
    def start(self, *faults, **more):
        folder = tempfile.mkdtemp(prefix="m-", dir="/tmp")  # short: a socket's path has its limit
        self.addCleanup(shutil.rmtree, folder)
        fake = FakeEngine(folder)
        fake.faults(*faults)
        home = self.home(models={"tiny": program.tiny_model()},
                         config=config(fake.program, "[backends.mlx]\nenabled = false\n", **more))
        server = self.keep(program.Server(home, TMPDIR=folder, XDG_RUNTIME_DIR=""))
        self.child = load(server, "tiny")
        status, answer = server.post("/v1/completions", **ASK)  # honest
        self.assertEqual((status, answer["minerva"]["backend"]), (200, "llama_cpp"))
        self.wanted = answer["choices"]
        self.fake = fake
        return server

    def test_a_whole_answer_goes_on_with_the_next_engine(self):
        server = self.start("--die-at", "4")
        wanted = server.post("/v1/completions", backend="native", **ASK)[1]["choices"]
        status, answer = server.post("/v1/completions", **ASK)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["choices"], wanted)
        self.assertEqual(answer["minerva"]["backend"], "native")
        (retry,) = answer["minerva"]["retries"]
        self.assertEqual(retry["backend"], "llama_cpp")
        self.assertEqual(answer["usage"]["completion_tokens"], 12)

    def test_a_whole_answer_goes_on_with_the_same_engine_started_again(self):
        server = self.start("--die-at", "4", fallback="[]")
        self.fake.faults()  # the next one is well
        status, answer = server.post("/v1/completions", **ASK)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["choices"], self.wanted)
        # Twice where it is asked again before its end is known.
        retries = [retry["backend"] for retry in answer["minerva"]["retries"]]
        self.assertIn(retries, (["llama_cpp"], ["llama_cpp"] * 2))
        self.assertNotEqual(instance_of(server)["pid"], self.child.pid)

    def test_a_streamed_answer_that_has_begun_ends_with_its_error(self):
        server = self.start("--die-at", "4")
        status, _, body = server.request("POST", "/v1/completions", ASK | {"stream": True})
        self.assertEqual(status, 200)
        events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
        self.assertIn("error", json.loads(events[-1]))
        self.assertNotIn("[DONE]", events)
        self.assertGreater(len(events), 1)


if __name__ == "__main__":
    unittest.main()
