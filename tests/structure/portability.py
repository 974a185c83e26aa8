"""The tree works on every machine: no hosts or paths of one, no large or binary files, no leftovers
of a registry in a lock file."""

import json
import re

# Written in pieces, so that this file does not hold what it looks for.
HOSTS = ["py" + "pi.org", "pythonhosted" + ".org", "deb.debian" + ".org", "registry.np" + "mjs.org",
         "snapshot.debian" + ".org", "proxy.golang" + ".org", "repo1.maven" + ".org",
         "static.crates" + ".io", "index.crates" + ".io"]
MACHINE_PATHS = ["/ro" + "ot/", "/wo" + "rk/", "/tm" + "p/"]
HOST = re.compile("|".join(map(re.escape, HOSTS)))
MACHINE_PATH = re.compile(r"(?<![\w.}])(" + "|".join(MACHINE_PATHS) + ")")
BYTES_MAX = 1 << 20
WEIGHTS = (".gguf", ".safetensors", ".onnx")


def text_problems(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        for name, pattern in (("a registry's host", HOST), ("a machine's path", MACHINE_PATH)):
            match = pattern.search(line)
            if match:
                yield f"{path}:{number}: names {name}: {match.group(0)}"


def lock_problems(path, text):
    def entries(node):
        if isinstance(node, dict):
            yield node
            for child in node.values():
                yield from entries(child)

    if any("resolved" in entry for entry in entries(json.loads(text))):
        yield f"{path}: has 'resolved' addresses; npm's setting omit-lockfile-registry-resolved"


def problems(tree):
    found = []
    for path, text in tree.files.items():
        if text is not None and not path.endswith("Cargo.lock"):
            found += text_problems(path, text)
        if path.endswith("package-lock.json"):
            found += lock_problems(path, text)
        if path.startswith("tests/data/"):
            continue
        if path.endswith(WEIGHTS):
            found.append(f"{path}: weights are fetched (./dev model), only tests/data/ has tiny ones")
        if tree.sizes.get(path, 0) > BYTES_MAX:
            found.append(f"{path}: {tree.sizes[path]} bytes, at most {BYTES_MAX} outside tests/data/")
    return found
