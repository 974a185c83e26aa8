"""The house rules that a program can see (CONTRIBUTING.md), in the C++ sources."""

import re
import statistics

LINES_MAX = 1500
LINES_WANTED = 800  # past this a file holds a second thing
LINES_MEDIAN_MAX = 200
COLUMNS_MAX = 100
BANNED_NAME = re.compile(r"(^|[/_])(util|utils|common|helper|helpers|manager|misc)([._/]|$)")

SHELL = r"(?<![\w.>])(std::|::)system\s*\(|(?<![\w:.>])popen\s*\("

# (pattern, what to use instead)
BANNED_CALLS = [
    (r"(?<![\w:.>])(std::)?(strcpy|strcat|sprintf|vsprintf|gets)\s*\(", "std::string or fmt"),
    (r"(?<![\w:.>])(std::)?(ato[ilf]|atoll|strto(l|ul|ll|ull|f|d|ld))\s*\(", "std::from_chars"),
    (r"(?<![\w:.>])(std::)?s?rand\s*\(", "base/rng.h"),
    (SHELL, "a child process of our own (a test may)"),
    (r"\.detach\(\)", "a thread that somebody joins"),
    (r"\bstd::regex\b", "a scanner by hand (src/text/scanners.h): std::regex recurses on its input"),
    (r"\bstd::endl\b", "'\\n'"),
    (r"\busing namespace std;", "the full name"),
    (r"\b(TODO|FIXME|XXX)\b", "the work itself, or an issue"),
    (r"\bDISABLED_", "a test that runs, or says NOT RUN and why"),
]
BANNED_CALLS = [(re.compile(pattern), instead) for pattern, instead in BANNED_CALLS]
SKIP = re.compile(r"GTEST_SKIP\(\)(?!\s*<<\s*\"NOT RUN: )")
LINE_COMMENT = re.compile(r"//[^\n]*")


def line_problems(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}:{number}"
        if len(line) > COLUMNS_MAX:
            yield f"{where}: {len(line)} columns, at most {COLUMNS_MAX}"
        if "\t" in line:
            yield f"{where}: a tab; two spaces an indent"
        if line != line.rstrip():
            yield f"{where}: blanks at the end of the line"


def call_problems(path, text):
    for pattern, instead in BANNED_CALLS:
        if pattern.pattern == SHELL and path.endswith("_test.cc"):
            continue
        # Work left undone is mostly said in comments; a banned call may be named there.
        code = text if "TODO" in pattern.pattern else LINE_COMMENT.sub("", text)
        for match in pattern.finditer(code):
            number = code.count("\n", 0, match.start()) + 1
            yield f"{path}:{number}: '{match.group(0).strip()}' is banned; use {instead}"
    for match in SKIP.finditer(text):
        number = text.count("\n", 0, match.start()) + 1
        yield f'{path}:{number}: a skip says why: GTEST_SKIP() << "NOT RUN: reason"'


def length_problems(lengths):
    for path, lines in lengths.items():
        if lines > LINES_MAX:
            yield f"{path}: {lines} lines, at most {LINES_MAX}"
    if lengths and statistics.median(lengths.values()) >= LINES_MEDIAN_MAX:
        median = statistics.median(lengths.values())
        yield f"src/: the median file has {median} lines, wanted is under {LINES_MEDIAN_MAX}"


def problems(tree):
    found, lengths = [], {}
    for path, text in tree.texts(".cc", ".h"):
        if path.startswith("src/"):
            lengths[path] = text.count("\n")
        found += line_problems(path, text)
        found += call_problems(path, text)
        if path.endswith(".h") and not path.endswith(".inl.h") and "#pragma once" not in text:
            found.append(f"{path}: a header starts with #pragma once")
        if not text.endswith("\n") or text.endswith("\n\n"):
            found.append(f"{path}: ends with exactly one newline")
    found += length_problems(lengths)
    found += [
        f"{path}: a name that says nothing ({BANNED_NAME.search(path).group(2)})"
        for path in tree.files
        if path.startswith(("src/", "tests/", "tools/")) and BANNED_NAME.search(path)
    ]
    return found


def warnings(tree):
    for path, text in tree.texts(".cc", ".h"):
        if text.count("\n") > LINES_WANTED:
            yield f"{path} has {text.count(chr(10))} lines: is there a room of its own inside?"
