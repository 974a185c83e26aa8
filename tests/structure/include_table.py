"""Holds ARCHITECTURE.md's table of who may include whom against the #include lines of src/."""

import fnmatch
import pathlib
import re

# The table's name of a library -> the headers that are its own. Longest match wins.
LIBRARIES = {
    "JSON": ["nlohmann/*"],
    "Asio": ["boost/asio*", "boost/system/*", "boost/intrusive_ptr.hpp"],
    "Beast": ["boost/beast*"],
    "PCRE2": ["pcre2.h"],
    "utf8proc": ["utf8proc.h"],
    "xxhash": ["xxhash.h"],
    "SQLite": ["sqlite3.h"],
    "spdlog": ["spdlog/*"],
    "fmt": ["fmt/*"],
    "OpenSSL": ["openssl/*"],
    "prometheus": ["prometheus/*"],
    "CLI11": ["CLI/*"],
    "toml++": ["toml++/*"],
    "libedit": ["editline/*", "histedit.h"],
    "intrinsics": ["*mmintrin.h", "immintrin.h", "cpuid.h", "arm_neon.h"],
    "template engine": ["rust/*", "minerva_rust.h"],
    "tests": ["gtest/*", "gmock/*", "benchmark/*"],
    "OS": ["sys/*", "netinet/*", "arpa/*", "net/*", "linux/*", "unistd.h", "fcntl.h", "poll.h",
           "malloc.h", "pwd.h", "sched.h", "signal.h", "termios.h", "dlfcn.h", "pthread.h", "netdb.h",
           "ifaddrs.h", "spawn.h", "dirent.h", "sysexits.h"],
}
EVERYWHERE = {"fmt"}
TEST_FILE = re.compile(r"(_(test|bench|fuzz)\.(cc|h)|(^|/)test_\w+\.h)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


class Row:
    """One line of the table. rooms, globs: what may be included; libraries: name -> file glob."""

    def __init__(self, name, may_include, outside):
        self.name = name
        quoted = re.findall(r"`([^`]+)`", may_include)
        self.everything = may_include.startswith("everything")
        self.but = set(quoted) if self.everything else set()
        self.rooms = set() if self.everything else {q for q in quoted if not q.endswith(".h")}
        self.globs = set() if self.everything else {q for q in quoted if q.endswith(".h")}
        self.libraries = {}
        self.standard = set()  # when not empty: no other standard header
        for entry in filter(None, (part.strip() for part in outside.split(","))):
            name, _, files = entry.partition(" in ")
            if name.startswith("`<"):
                self.standard.add(name.strip("`<>"))
            elif name != "-":
                self.libraries[name] = files.strip("`") or "*"


def read_table(markdown):
    rows = {}
    section = markdown.partition("## Who may include whom")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            name = cells[0].strip("`")
            rows[name] = Row(name, cells[1], cells[2])
    return rows


def room_of(rows, path):
    """The row that a file of src/ belongs to: its folder's own, its kind's (`backend/<x>`), or that
    of the nearest folder above."""
    folder = pathlib.PurePosixPath(path).parent
    while str(folder) != ".":
        kind = [n for n in rows if "<" in n and n.split("/<")[0] == str(folder.parent)]
        if str(folder) in rows:
            return rows[str(folder)]
        if kind:
            return rows[kind[0]]
        folder = folder.parent
    return None


def library_of(header):
    for name, patterns in LIBRARIES.items():
        if any(fnmatch.fnmatchcase(header, pattern) for pattern in patterns):
            return name
    return None


def glob_matches(pattern, path):
    return pattern.count("/") == path.count("/") and fnmatch.fnmatchcase(path, pattern)


def own_include_problem(rows, row, path, header):
    target = room_of(rows, header)
    for_tests = header.startswith("support/") or TEST_FILE.search(header)
    if TEST_FILE.search(path):
        if header.startswith("support/") or (target and target.name == "backend/fake"):
            return None
    elif for_tests:
        return f"{path}: includes {header}, which is for tests only"
    if target is None:
        return f"{path}: includes {header}, which is in no room of the table"
    if target is row or target.name in row.rooms:
        return None
    if row.everything and target.name not in row.but:
        return None
    if any(glob_matches(pattern, header) for pattern in row.globs):
        return None
    return f"{path}: room {row.name} may not include {header} (room {target.name})"


def outside_include_problem(row, path, header):
    name = library_of(header)
    if name is None and ("/" in header or header.endswith((".h", ".hpp"))):
        return f"{path}: <{header}> is of no library that tests/structure/include_table.py knows"
    if TEST_FILE.search(path):
        return None
    if name is None:
        if row.standard and header not in row.standard:
            return f"{path}: room {row.name} may include no <{header}>, only {sorted(row.standard)}"
        return None
    if name in EVERYWHERE and not row.standard or "everything" in row.libraries:
        return None
    files = row.libraries.get(name)
    if files and fnmatch.fnmatchcase(pathlib.PurePosixPath(path).name, files):
        return None
    limit = f" outside of {files}" if files else ""
    return f"{path}: room {row.name} may not use {name} (<{header}>){limit}"


def cycles(edges):
    """A cycle among rooms as 'a -> b -> a', or nothing."""
    state = {}

    def walk(room, trail):
        state[room] = "open"
        for target in sorted(edges.get(room, ())):
            if state.get(target) == "open":
                ring = trail[trail.index(target):] if target in trail else [target]
                return " -> ".join([*ring, target])
            if target not in state:
                found = walk(target, [*trail, target])
                if found:
                    return found
        state[room] = "done"
        return None

    for room in sorted(edges):
        if room not in state:
            found = walk(room, [room])
            if found:
                return found
    return None


def problems(tree):
    rows = read_table(tree.files["ARCHITECTURE.md"])
    if not rows:
        return ["ARCHITECTURE.md: no table under 'Who may include whom'"]
    found, edges = [], {}
    for path, text in tree.texts(".h", ".cc"):
        if not path.startswith("src/"):
            continue
        path = path.removeprefix("src/")
        row = room_of(rows, path)
        if row is None:
            found.append(f"{path}: its folder has no row in ARCHITECTURE.md's table")
            continue
        for bracket, header in INCLUDE.findall(text):
            if bracket == '"' and library_of(header) is None:
                problem = own_include_problem(rows, row, path, header)
                target = room_of(rows, header)
                if target and target is not row and not TEST_FILE.search(path):
                    if not target.name.startswith(row.name + "/"):  # a room's own sub-rooms
                        edges.setdefault(row.name, set()).add(target.name)
                folder = "tests/" if header.startswith("support/") else "src/"
                if not tree.exists(folder + header):
                    problem = f'{path}: includes "{header}", which is not in {folder}'
            else:
                problem = outside_include_problem(row, path, header)
            if problem:
                found.append(problem)
    ring = cycles(edges)
    if ring:
        found.append(f"rooms include each other in a ring: {ring}")
    return found
