"""tools/run_capped.py with real limits. NOT RUN where this machine lets us make no memory cgroup."""

import json
import pathlib
import subprocess
import sys
import unittest

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "run_capped.py"
MIB = 1 << 20
# Writes to every page of as many MiB as its argument says.
EAT = "import sys; b = bytearray(int(sys.argv[1]) << 20); print(len(b))"


def capped(*command, memory="64M"):
    return subprocess.run([sys.executable, TOOL, "--memory", memory, "--", *command],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)


def report(ran):
    return json.loads(ran.stderr.splitlines()[-1])


class RunCappedTest(unittest.TestCase):
    def test_reports_what_was_used(self):
        ran = capped(sys.executable, "-c", EAT, "30")
        self.assertEqual((ran.returncode, ran.stdout.strip()), (0, str(30 * MIB)))
        self.assertEqual(report(ran)["limit_bytes"], 64 * MIB)
        self.assertEqual(report(ran)["oom_kills"], 0)
        self.assertGreaterEqual(report(ran)["max_usage_bytes"], 30 * MIB)
        self.assertLessEqual(report(ran)["max_usage_bytes"], 64 * MIB)

    def test_the_limit_holds(self):
        ran = capped(sys.executable, "-c", EAT, "300")
        self.assertEqual(ran.returncode, 128 + 9)
        self.assertGreaterEqual(report(ran)["oom_kills"], 1)
        self.assertIn("limit_hits", report(ran))  # some kernels of version 1 leave it at 0

    def test_nothing_is_left(self):
        # The sleeper is in the group, and holds none of our pipes.
        ran = capped("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!; cat /proc/self/cgroup; exit 3")
        self.assertEqual(ran.returncode, 3)
        pid, _, groups = ran.stdout.partition("\n")
        self.assertIn("/minerva_capped_", groups)
        try:  # the first process of a container may never ask for the dead, who have no command
            self.assertEqual(pathlib.Path(f"/proc/{pid}/cmdline").read_text(), "")
        except FileNotFoundError:
            pass

    def test_a_command_that_is_missing_says_so(self):
        self.assertEqual(capped("/no/such/command").returncode, 127)


if __name__ == "__main__":
    if (probe := capped("true")).returncode == 77:
        print(probe.stdout.strip())
        sys.exit(77)
    unittest.main()
