import pathlib
import sys
import tempfile
import unittest

import tree

sys.path.insert(0, str(tree.ROOT / "tools"))
import count_tests  # noqa: E402

REPORT = """<testsuite>
<testcase name="rooms" status="run"><system-out>
[  SKIPPED ] Kernels.Amx (0 ms)
NOT RUN: this processor has no AMX
[  PASSED  ] 40 tests.
[  SKIPPED ] 1 test, listed below:
</system-out></testcase>
<testcase name="broken" status="fail"><system-out>
[  PASSED  ] 8 tests.
[  FAILED  ] 2 tests, listed below:
</system-out></testcase>
<testcase name="died" status="fail"><system-out>[ RUN      ] X.Y</system-out></testcase>
<testcase name="replay" status="run"><system-out>12 inputs</system-out></testcase>
<testcase name="script" status="run"><system-out>Ran 5 tests in 0.1s

OK (skipped=1)</system-out></testcase>
<testcase name="rust" status="run"><system-out>
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
</system-out></testcase>
<testcase name="client" status="notrun"><system-out>NOT RUN: no network</system-out></testcase>
<testcase name="silent" status="run"><system-out>NOT RUN: no model
[  PASSED  ] 3 tests.</system-out></testcase>
</testsuite>"""


class CountTestsTest(unittest.TestCase):
    def count(self, report):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.xml"
            path.write_text(report)
            return count_tests.count_files([str(path)])

    def test_counts(self):
        totals, lines = self.count(REPORT)
        self.assertEqual(totals, [40 + 8 + 1 + 4 + 7 + 2, 2 + 1, 1 + 1 + 1 + 1])
        self.assertIn("not run: report: rooms: this processor has no AMX", lines)
        self.assertIn("not run: report: client: no network", lines)
        self.assertIn("not run: report: silent: no model", lines)
        self.assertEqual(sum(line.startswith("FAILED: ") for line in lines), 2)

    def test_nothing_run_is_a_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.xml"
            path.write_text("<testsuite></testsuite>")
            self.assertEqual(count_tests.main([str(path)]), 1)


if __name__ == "__main__":
    unittest.main()
