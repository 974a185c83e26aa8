"""`minerva run`: one answer for scripts, and the chat on a terminal."""

import re
import signal
import unittest

import program
from program import ProgramTest, Server, Terminal

TINY = program.tiny_model()
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


class OneAnswerTest(ProgramTest):
    def test_prompt_and_pipe_are_joined(self):
        home = self.home(models={"tiny": TINY})
        options = ("--greedy", "--max-tokens", 12)
        joined = home.run("run", "tiny", "first", *options, stdin="second\n")
        self.assertEqual(joined.returncode, 0, joined.stderr)
        self.assertTrue(joined.stdout.endswith(b"\n"))
        self.assertEqual(joined.stderr, b"")
        whole = home.run("run", "tiny", *options, stdin="first\n\nsecond")
        self.assertEqual(whole.stdout, joined.stdout)
        other = home.run("run", "tiny", *options, stdin="first")
        self.assertNotEqual(other.stdout, joined.stdout)
        system = home.run("run", "tiny", *options, "--system", "Be brief.", stdin="first")
        self.assertNotEqual(system.stdout, other.stdout)
        self.assertIn("the prompt is empty", self.failure(home.run("run", "tiny", stdin="\n")))

    def test_controls_are_left_out(self):
        home = self.home(models={"tiny": TINY})
        # A model of random bytes writes everything; hot, so that many kinds come.
        options = ("--temperature", 5, "--seed", 7, "--max-tokens", 400)
        raw = home.run("run", "tiny", "x", *options, "--raw")
        self.assertEqual(raw.returncode, 0, raw.stderr)
        self.assertTrue(CONTROL.search(raw.stdout), "the test's model wrote no control character")
        safe = home.run("run", "tiny", "x", *options)
        self.assertFalse(CONTROL.search(safe.stdout), safe.stdout)

    def test_the_only_model_needs_no_name(self):
        home = self.home(models={"tiny": TINY})
        done = home.run("run", "--max-tokens", 1, stdin="x")
        self.assertEqual(done.returncode, 0, done.stderr)
        two = self.home(models={"tiny": TINY, "other": TINY})
        self.assertIn("which model? minerva run NAME, with one of: other, tiny",
                      self.failure(two.run("run", stdin="x")))
        self.assertIn("there is no model in", self.failure(self.home().run("run", stdin="x")))

    def test_it_asks_a_server_that_runs(self):
        # The server's folder has the model, ours has none: the answer can only be the server's.
        server = self.keep(Server(self.home(models={"there": TINY}), "--model", "there"))
        home = self.home()
        done = home.run("run", "there", "--port", server.port, "--max-tokens", 3, stdin="x")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = home.run("run", "--port", server.port, "--max-tokens", 3, stdin="x")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("unknown model 'elsewhere'", self.failure(
            home.run("run", "elsewhere", "--port", server.port, stdin="x")))
        # A flag of the engine is for an engine of our own, and here is no model for one.
        self.assertIn("unknown model 'there'", self.failure(
            home.run("run", "there", "--port", server.port, "--threads", 1, stdin="x")))
        page = server.request("GET", "/metrics")[2].decode()
        self.assertRegex(page, r'requests_total\{outcome="done"\} 2')

    def test_a_refused_request_is_said(self):
        home = self.home(models={"tiny": TINY})
        done = home.run("run", "tiny", "--temperature", 99, stdin="x")
        self.assertIn("temperature", self.failure(done))


class ChatTest(ProgramTest):
    def chat(self, *arguments, home=None):
        home = home or self.home(models={"tiny": TINY})
        terminal = self.keep(Terminal(home, "run", "tiny", "--greedy", *arguments))
        terminal.expect("/help helps.")
        terminal.expect(">>> ")
        return terminal

    def test_answers_and_the_end(self):
        chat = self.chat("--max-tokens", 5)
        chat.type("hello\n")
        chat.expect("hello\r\n")
        chat.expect(">>> ")
        chat.type("/set top_p 0.5\n")
        chat.expect("top_p 0.5")
        chat.expect(">>> ")
        chat.type("/nonsense\n")
        chat.expect('there is no command "nonsense"')
        chat.expect(">>> ")
        chat.type("/bye\n")
        self.assertEqual(chat.wait(), 0)

    def test_ctrl_d_ends(self):
        chat = self.chat()
        chat.type("\x04")
        self.assertEqual(chat.wait(), 0)

    def test_a_model_without_template_is_mentioned_once(self):
        chat = self.chat("--max-tokens", 2)
        chat.type("a\n")
        chat.expect(">>> ")
        self.assertEqual(chat.shown.count(b"no chat template"), 1)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        # The model never ends by itself.
        chat = self.chat()
        chat.type("hello\n")
        chat.expect("hello\r\n")
        mark = len(chat.shown)
        chat.more_after(mark)
        chat.interrupt_until("(stopped)")
        chat.expect(">>> ")
        chat.type("/set max_tokens 3\n")
        chat.expect("max_tokens 3")
        chat.expect(">>> ")
        chat.type("again\n")
        chat.expect("(cut off")
        chat.expect(">>> ")
        chat.type("/bye\n")
        self.assertEqual(chat.wait(), 0)

    def test_ctrl_c_drops_a_line(self):
        chat = self.chat()
        chat.type("half a line")
        chat.expect("half a line")
        chat.type("\x03")
        chat.expect(">>> ")
        chat.type("\x03")
        chat.expect("/bye ends the chat")
        chat.expect(">>> ")
        chat.type("/bye\n")
        self.assertEqual(chat.wait(), 0)

    def test_several_lines(self):
        chat = self.chat("--max-tokens", 2)
        chat.type('"""one\n')
        chat.expect("... ")
        chat.type("/bye\n")
        chat.expect("... ")
        chat.type('"""\n')
        chat.expect(">>> ")
        chat.type("two\\\n")
        chat.expect("... ")
        chat.type("three\n")
        chat.expect(">>> ")
        chat.type("\x04")
        self.assertEqual(chat.wait(), 0)

    def test_the_history_is_kept_and_utf8_goes_through(self):
        home = self.home(models={"tiny": TINY})
        chat = self.chat("--max-tokens", 2, home=home)
        chat.type("Grüße 漢字 🙂\n")
        chat.expect("Grüße 漢字 🙂")
        chat.expect(">>> ")
        chat.type("/bye\n")
        self.assertEqual(chat.wait(), 0)
        again = self.chat("--max-tokens", 2, home=home)
        again.type("\x1b[A\x1b[A")  # up, twice: behind /bye
        again.expect("Grüße 漢字 🙂")
        again.type("\x03\x04")
        self.assertEqual(again.wait(), 0)
        self.assertEqual((home.folder / "history").stat().st_mode & 0o077, 0)

    def test_terminate_ends_it(self):
        chat = self.chat()
        chat.process.send_signal(signal.SIGTERM)
        self.assertEqual(chat.wait(), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
