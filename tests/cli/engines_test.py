"""The verbs that ask the running server about engines, and the configuration of engines."""

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
