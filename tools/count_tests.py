"""Sums up what ctest's JUnit files say: `python3 count_tests.py FILE...`.

A program of GoogleTest, unittest or cargo counts with its own cases, every other test as one. What
did not run ("NOT RUN: reason", or a skip) is listed and counted apart, never as passed. The last
line is "N passed, N failed, N skipped"; the exit code is 1 when something failed or nothing ran.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

GTEST_PASSED = re.compile(r"^\[  PASSED  \] (\d+) tests?", re.M)
GTEST_FAILED = re.compile(r"^\[  FAILED  \] (\d+) tests?", re.M)
GTEST_SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) tests?", re.M)
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests?", re.M)
UNITTEST_FAILED = re.compile(r"\b(?:failures|errors)=(\d+)")
UNITTEST_SKIPPED = re.compile(r"\bskipped=(\d+)")
CARGO = re.compile(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", re.M)
NOT_RUN = re.compile(r"NOT RUN: *(.*)$", re.M)


def total(pattern, text):
    return sum(int(number) for number in pattern.findall(text))


def count_cases(output, status):
    """(passed, failed, skipped) as the test program itself counted them."""
    if GTEST_PASSED.search(output) or GTEST_FAILED.search(output):
        return [total(p, output) for p in (GTEST_PASSED, GTEST_FAILED, GTEST_SKIPPED)]
    ran = UNITTEST_RAN.search(output)
    if ran:
        closing = output[ran.end():]
        failed, skipped = total(UNITTEST_FAILED, closing), total(UNITTEST_SKIPPED, closing)
        return [int(ran.group(1)) - failed - skipped, failed, skipped]
    if CARGO.search(output):  # one line a test binary
        return [sum(map(int, column)) for column in zip(*CARGO.findall(output))]
    if status == "run":
        return [1, 0, 0]
    return [0, 0, 0 if status == "fail" else 1]


def count_test(output, status):
    """(passed, failed, skipped) and the reasons of one ctest test."""
    reasons = list(dict.fromkeys(reason.strip() for reason in NOT_RUN.findall(output)))
    passed, failed, skipped = count_cases(output, status)
    if status == "fail" and failed == 0:
        failed = 1  # it died before or after its cases: a crash, a sanitizer's report at exit
    # A test that says NOT RUN and then returns is not one that passed.
    unsaid = min(passed, max(0, len(reasons) - skipped))
    if skipped and not reasons:
        reasons = ["no reason given"]
    return [passed - unsaid, failed, skipped + unsaid], reasons


def count_files(paths):
    totals, lines = [0, 0, 0], []
    for path in paths:
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            output = case.findtext("system-out") or ""
            name = f"{pathlib.Path(path).stem}: {case.get('name')}"
            counts, reasons = count_test(output, case.get("status"))
            totals = [a + b for a, b in zip(totals, counts)]
            lines += [f"not run: {name}: {reason}" for reason in reasons]
            if counts[1]:
                lines.append(f"FAILED: {name}")
    return totals, lines


def main(paths):
    (passed, failed, skipped), lines = count_files(paths)
    for line in dict.fromkeys(lines):
        print(line)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
