"""`minerva serve` as a client and as whoever runs it see it."""

import signal
import socket
import threading
import unittest

import program
from program import ProgramTest, Server

TINY = program.tiny_model()
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


class ServeTest(ProgramTest):
    def server(self, *arguments, home=None, **environment):
        self.own_home = home or self.home(models={"tiny": TINY})
        return self.keep(Server(self.own_home, *arguments, **environment))

    def test_the_line_that_says_it_is_ready(self):
        server = self.server("--model", "tiny", "--threads", 1, "--context", 2048)
        self.assertRegex(server.ready_line,
                         r"^minerva \d+\.\d+\.\d+ listening on http://127\.0\.0\.1:\d+  "
                         r"\(model tiny, context 2048, native/(scalar|avx2|avx512), 1 thread\)\n$")
        self.assertEqual(server.request("GET", "/ready")[0], 200)

    def test_the_forced_instruction_set_runs(self):
        for isa in self.home().json("doctor", "--json")["isas"]:
            server = self.server("--model", "tiny", MINERVA_ISA=isa)
            self.assertIn(f"native/{isa}", server.ready_line)
            server.close()

    def test_answers(self):
        server = self.server("--model", "tiny")
        status, answer = server.post(CHAT, model="tiny", messages=HELLO, temperature=0,
                                     max_tokens=8)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["usage"]["completion_tokens"], 8)
        self.assertEqual(answer["system_fingerprint"], "fp_0.1.0_exact")
        text = answer["choices"][0]["message"]["content"]

        connection, response, events = server.stream(CHAT, model="tiny", messages=HELLO,
                                                     temperature=0, max_tokens=8)
        self.assertEqual(response.status, 200)
        chunks = list(events)
        connection.close()
        self.assertEqual(chunks[-1], "[DONE]")
        pieces = [c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]]
        self.assertEqual("".join(pieces), text)

    def test_float32_is_named_in_the_answers(self):
        server = self.server("--model", "tiny", MINERVA_NUMERICS="f32")
        _, answer = server.post(CHAT, model="tiny", messages=HELLO, max_tokens=1)
        self.assertEqual(answer["system_fingerprint"], "fp_0.1.0_f32")

    def test_models_are_loaded_at_first_use(self):
        server = self.server()
        self.assertIn("1 model known, loaded at first use", server.ready_line)
        status, _ = server.post(CHAT, model="tiny", messages=HELLO, max_tokens=1)
        self.assertEqual(status, 200)
        status, answer = server.post(CHAT, model="tnny", messages=HELLO)
        self.assertEqual((status, answer["error"]["code"]), (404, "model_not_found"))
        self.assertIn("tiny", answer["error"]["message"])

    def test_a_path_is_served_under_its_name(self):
        server = self.server("--model", TINY, home=self.home())
        status, answer = server.post("/v1/completions", model="tiny", prompt="x", max_tokens=1)
        self.assertEqual((status, answer["model"]), (200, "tiny"))

    def test_settings_reach_the_server(self):
        server = self.server("--model", "tiny", "--strict", "--body-max", "2048",
                             "--context", "128")
        status, answer = server.post(CHAT, model="tiny", messages=HELLO, nonsense=1)
        self.assertEqual(status, 400)
        self.assertIn("nonsense", answer["error"]["message"])
        long = [{"role": "user", "content": "x" * 4096}]
        self.assertEqual(server.post(CHAT, model="tiny", messages=long)[0], 413)
        long = [{"role": "user", "content": "x" * 500}]
        status, answer = server.post(CHAT, model="tiny", messages=long)
        self.assertEqual(status, 400)
        self.assertIn("128", answer["error"]["message"])

    def test_a_port_that_is_taken(self):
        server = self.server("--model", "tiny")
        done = self.own_home.run("serve", "--model", "tiny", "--port", server.port)
        self.assertRegex(self.failure(done),
                         rf"port {server.port} .* is taken by another Minerva 0\.1\.0; .*--port")
        self.assertEqual(done.stdout, b"")
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            done = self.own_home.run("serve", "--model", "tiny", "--port", port)
        self.assertIn(f"port {port} on 127.0.0.1 is taken by another program", self.failure(done))

    def test_two_models_of_one_name(self):
        home = self.home(models={"tiny": TINY})
        error = self.failure(home.run("serve", "--model", "tiny", "--model", TINY, "--port", 0))
        self.assertIn("two models are called 'tiny'", error)


class StopTest(ProgramTest):
    def start_long_answer(self, server):
        """An answer that runs until the context is full, seen to run."""
        connection, response, events = server.stream(CHAT, model="tiny", messages=HELLO,
                                                     temperature=0)
        self.connection = connection
        self.addCleanup(connection.close)
        self.assertEqual(response.status, 200)
        next(events)
        next(events)
        return events

    def test_sigterm_lets_running_answers_end(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny",
                                  "--drain-seconds", 3600))
        connection, _, events = server.stream(CHAT, model="tiny", messages=HELLO, temperature=0,
                                              max_tokens=1000)
        self.addCleanup(connection.close)
        next(events)
        server.signal(signal.SIGTERM)
        self.wait_for_drain(server)
        chunks = list(events)
        self.assertEqual(chunks[-1], "[DONE]")
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "length")
        self.assertEqual(server.wait(), 0)

    def test_the_deadline_cuts_answers_off_with_an_error(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny",
                                  "--drain-seconds", 0))
        events = self.start_long_answer(server)
        server.signal(signal.SIGTERM)
        # serve and http have the same deadline; whoever comes first says it.
        self.assertRegex(self.last_error(events), "the server is (stopping|shutting down)")
        self.assertEqual(server.wait(), 0)

    def last_error(self, events):
        chunks = [c for c in events if c != "[DONE]"]
        self.assertIn("error", chunks[-1], chunks[-1])
        return chunks[-1]["error"]["message"]

    def test_a_second_signal_stops_at_once(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny",
                                  "--drain-seconds", 3600))
        events = self.start_long_answer(server)
        server.signal(signal.SIGINT)
        self.wait_for_drain(server)
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        with self.assertRaises(Exception):  # the answer was cut: no [DONE] and a broken body
            self.assertIn("[DONE]", list(events))

    def wait_for_drain(self, server):
        """The first signal has been seen once connections are refused."""
        with self.assertRaises(ConnectionError):
            while True:
                address = ("127.0.0.1", server.port)
                socket.create_connection(address, timeout=program.WAIT_MAX).close()

    def test_a_client_that_leaves_gives_its_pages_back(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny"))
        events = self.start_long_answer(server)
        program.wait_until(lambda: self.metric(server, "kv_pages_used") > 0, "pages are used")
        events.close()
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        program.wait_until(lambda: self.metric(server, "kv_pages_used") == 0, "all are given back")

    def metric(self, server, name):
        page = server.request("GET", "/metrics")[2].decode()
        lines = [line for line in page.splitlines() if name in line and not line.startswith("#")]
        self.assertTrue(lines, page)
        return float(lines[0].split()[-1])


class TogetherTest(ProgramTest):
    def test_sixteen_clients_get_what_one_gets(self):
        server = self.keep(Server(self.home(models={"tiny": TINY}), "--model", "tiny"))

        def ask(number):
            status, answer = server.post(CHAT, model="tiny", temperature=0, max_tokens=40,
                                         messages=[{"role": "user", "content": f"say {number}"}])
            return status, answer["choices"][0]["message"]["content"]

        alone = [ask(number) for number in range(16)]
        together = [None] * 16

        def client(number):
            together[number] = ask(number)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(program.WAIT_MAX)
        self.assertEqual(together, alone)
        self.assertEqual({status for status, _ in alone}, {200})


if __name__ == "__main__":
    unittest.main()
