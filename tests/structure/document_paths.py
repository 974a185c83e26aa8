"""Every path that a document names exists: quoted in backticks, linked, or in a block of code."""

import fnmatch
import pathlib
import re

DOCUMENTS = re.compile(r"^([A-Z]+\.md|docs/.*\.md|(src|tests|tools|rust|fuzz)/.*\.md)$")
QUOTED = re.compile(r"`([^`\n]+)`")
LINKED = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
PATH = re.compile(r"^[\w.*-]+(/[\w.*-]*)*$")
# A bare name with one of these endings is a file of ours, wherever it lies.
OURS = (".cc", ".h", ".cmake", ".sh")
# What a build or a run makes, and what stands for any file in an explanation (`x_test.cc`).
MADE = ("build/", ".venv/", "rust/target/")
PLACEHOLDER = re.compile(r"^(x|\*_\w+|x_\w+|test_x|\*?)\.\w+$")


def candidates(text):
    """The words of a document that could be paths."""
    for block in FENCED.findall(text):
        yield from block.split()
    prose = FENCED.sub("", text)
    for quoted in QUOTED.findall(prose):
        yield from quoted.split()
    for link in LINKED.findall(prose):
        yield link.partition("#")[0]


def is_path(tree, word):
    """Whether the word means a file of this repository (and not a URL, a type or a flag)."""
    if not PATH.match(word) or word.startswith(MADE) or PLACEHOLDER.match(word):
        return False
    first, slash, _ = word.partition("/")
    if not slash:
        return word.endswith(OURS)
    return tree.exists(first) or tree.exists("src/" + first)


def resolves(tree, document, word):
    parent = pathlib.PurePosixPath(document).parent
    word = word.rstrip("/")
    for base in ("", "src/", f"{parent}/" if str(parent) != "." else ""):
        if tree.exists(base + word):
            return True
        if "*" in word and fnmatch.filter(tree.files, base + word):
            return True
    return "/" not in word and any(path.endswith("/" + word) for path in tree.files)


def problems(tree):
    found = []
    for document, text in tree.texts(".md"):
        if not DOCUMENTS.match(document):
            continue
        for word in dict.fromkeys(candidates(text)):
            word = word.strip(",;:()'\"").removeprefix("./").rstrip(".")
            if is_path(tree, word) and not resolves(tree, document, word):
                found.append(f"{document}: names {word}, which does not exist")
    return list(dict.fromkeys(found))
