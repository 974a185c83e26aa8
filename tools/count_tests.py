"""Sums up what ctest's JUnit files say: `python3 count_tests.py FILE...`.

A GoogleTest program counts with its own cases, every other test as one. What a test did not run
("NOT RUN: reason", or a skip) is listed and counted apart, never as passed. The last line is
"N passed, N failed, N skipped"; the exit code is 1 when something failed or nothing ran.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

SUMMARY = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) tests?", re.M),
    "failed": re.compile(r"^\[  FAILED  \] (\d+) tests?", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] (\d+) tests?", re.M),
}
NOT_RUN = re.compile(r"^.*NOT RUN: *(.*)$", re.M)


def count_case(case):
    """(passed, failed, skipped, reasons) of one <testcase>."""
    output = case.findtext("system-out") or ""
    reasons = list(dict.fromkeys(reason.strip() for reason in NOT_RUN.findall(output)))
    status = case.get("status")
    found = {key: pattern.search(output) for key, pattern in SUMMARY.items()}
    counts = {key: int(match.group(1)) if match else 0 for key, match in found.items()}
    if found["passed"] or found["failed"]:
        passed, failed, skipped = counts["passed"], counts["failed"], counts["skipped"]
        # A test that says NOT RUN and then returns is not one that passed.
        silent = max(0, len(reasons) - skipped)
        passed, skipped = max(0, passed - silent), skipped + silent
        if status == "fail" and failed == 0:
            failed = 1  # it died after its cases: a sanitizer's report at exit, for one
    elif status == "fail":
        passed, failed, skipped = 0, 1, 0
    elif status == "run" and not reasons:
        passed, failed, skipped = 1, 0, 0
    else:
        passed, failed, skipped = 0, 0, 1
    if skipped and not reasons:
        reasons = ["no reason given"]
    return passed, failed, skipped, reasons


def count_files(paths):
    totals, lines = [0, 0, 0], []
    for path in paths:
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            *counts, reasons = count_case(case)
            totals = [total + count for total, count in zip(totals, counts)]
            name = case.get("name")
            lines += [f"not run: {name}: {reason}" for reason in reasons]
            if counts[1]:
                lines.append(f"FAILED: {name} ({path})")
    return totals, lines


def main(paths):
    (passed, failed, skipped), lines = count_files(paths)
    for line in dict.fromkeys(lines):
        print(line)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
