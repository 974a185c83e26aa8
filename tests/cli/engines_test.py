"""The verbs that ask the running server about engines, and the configuration of engines."""

import json
import socket
import unittest

import program
from program import ProgramTest, Server

TINY = program.tiny_model()


class EnginesTest(ProgramTest):
    def test_without_a_server_they_say_so(self):
        home = self.home()
        with socket.socket() as taken:  # bound and not listening: nobody answers there
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            for verb in (["ps"], ["load", "m"], ["unload", "m"], ["route", "m"]):
                done = home.run(*verb, "--port", port)
                self.assertEqual(done.returncode, 1, verb)
                self.assertIn(f"no server answers at 127.0.0.1:{port}", done.stderr.decode())
                self.assertEqual(done.stdout, b"")

    def test_the_servers_refusal_is_told(self):
        home = self.home(models={"tiny": TINY})
        server = self.keep(Server(home))
        for verb in (["load", "m", "--engine", "no such"], ["route", "m", "--engine", "no such"]):
            done = home.run(*verb, "--port", server.port)
            self.assertEqual(done.returncode, 1, verb)
            self.assertIn("backend", done.stderr.decode())

    def test_loading_seeing_and_unloading(self):
        home = self.home(models={"tiny": TINY}, config='[models."tiny"]\naliases = ["small"]\n')
        server = self.keep(Server(home))
        port = ["--port", server.port]
        loaded = home.run("load", "small", *port)
        self.assertEqual(loaded.returncode, 0, loaded.stderr)
        (instance,) = home.json("ps", "--json", *port)["data"]
        self.assertEqual((instance["model"], instance["backend"], instance["state"]),
                         ("tiny", "native", "ready"))
        _, _, models = server.request("GET", "/v1/models/small")
        self.assertEqual(json.loads(models)["minerva"]["state"], "ready")
        self.assertEqual(home.run("unload", "tiny", *port).returncode, 0)
        self.assertEqual(home.json("ps", "--json", *port)["data"], [])
        unknown = home.run("load", "tiny2", *port)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("unknown model 'tiny2'; known: tiny", unknown.stderr.decode())
        self.assertEqual(server.post("/v1/models/unload", model="tiny")[0], 404)

    def test_a_route_says_why_not_the_others(self):
        home = self.home(models={"tiny": TINY})
        server = self.keep(Server(home))
        status, route = server.post("/v1/route", model="tiny", prompt="hello")
        self.assertEqual(status, 200, route)
        self.assertEqual(route["backend"], "native")
        self.assertGreater(route["prompt_tokens"], 0)
        steps = {step["backend"]: step for step in route["steps"]}
        self.assertTrue(steps["native"]["usable"])
        self.assertFalse(steps["mlx"]["usable"])
        self.assertIn("this model is gguf", steps["mlx"]["why"])
        status, answer = server.post("/v1/completions", model="tiny", prompt="a", backend="mlx")
        self.assertEqual(status, 400)
        self.assertIn("mlx reads", answer["error"]["message"])

    # The same answer in a process of its own, and from another Minerva.
    def test_isolated_and_remote(self):
        ask = dict(model="tiny", prompt="Once", max_tokens=12, temperature=0)
        plain = self.keep(Server(self.home(models={"tiny": TINY})))
        wanted = plain.post("/v1/completions", **ask)[1]["choices"][0]["text"]
        isolated = self.keep(Server(self.home(models={"tiny": TINY}), "--isolation", "process"))
        status, answer = isolated.post("/v1/completions", **ask)
        self.assertEqual((status, answer["choices"][0]["text"]), (200, wanted))
        # The answer may be there a moment before the list is.
        program.wait_until(
            lambda: json.loads(isolated.request("GET", "/v1/ps")[2])["data"][0]["pid"],
            "its process is listed")
        config = f'[remotes.other]\nurl = "http://127.0.0.1:{plain.port}"\n'
        far = self.keep(Server(self.home(config=config)))
        status, answer = far.post("/v1/completions", **ask)
        self.assertEqual((status, answer["choices"][0]["text"]), (200, wanted))
        self.assertEqual(answer["minerva"]["backend"], "remote:other")

    # A slower device is never used in silence.
    def test_layers_for_a_gpu_that_is_not_there(self):
        program_path = program.ROOT / "tests" / "chaos" / "fake_llama_server.py"
        for layers, available in ((10, False), (0, True)):
            config = f'[backends.llama_cpp]\npath = "{program_path}"\ngpu_layers = {layers}\n'
            server = self.keep(Server(self.home(config=config)))
            _, _, body = server.request("GET", "/v1/backends")
            llama = next(b for b in json.loads(body)["data"] if b["name"] == "llama_cpp")
            self.assertEqual(llama["available"], available, llama)
            self.assertEqual("gpu_layers" in (llama["why_not"] or ""), not available)

    def test_lists_are_json(self):
        home = self.home(models={"tiny": TINY})
        server = self.keep(Server(home))
        self.assertIsInstance(home.json("ps", "--json", "--port", server.port)["data"], list)
        status, _, body = server.request("GET", "/v1/backends")
        self.assertEqual(status, 200, body)

    def test_doctor_lists_engines(self):
        self.assertIsInstance(self.home().json("doctor", "--json")["engines"], list)

    def test_a_wrong_table_ends_it_with_its_line(self):
        home = self.home(config='port = 0\n[models."m"]\npinn = true\n')
        done = home.run("serve")
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 3: there is no setting \"pinn\"", done.stderr.decode())
        self.assertIn("did you mean pin?", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
