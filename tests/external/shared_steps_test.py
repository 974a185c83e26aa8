"""Sixteen clients at once get what one client gets, and their requests really share engine steps.
What sharing brings is printed, not judged: that is bench/concurrency.py's business."""

import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cli"), str(ROOT / "bench")]

import concurrency  # noqa: E402
import program  # noqa: E402


class SharedSteps(program.ProgramTest):
    def test_sixteen_clients(self):
        model = program.sample_model("MINERVA_SAMPLE_SMOLLM2")
        home = self.home({"smollm2": model})
        server = self.keep(program.Server(home, "--model", "smollm2", "--context", "512"))
        result = concurrency.measure(f"http://127.0.0.1:{server.port}", 16, 48)
        print(result)
        self.assertTrue(result["equal"])
        self.assertEqual(result["different_answers"], 16)
        self.assertGreater(result["steps_of_half_the_clients"], 0)


if __name__ == "__main__":
    unittest.main()
