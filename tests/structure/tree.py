"""The repository as data: path -> text, so that a check can be shown a bad tree of a few lines."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Tree:
    """files: path -> text, or None where the file is not text. sizes: path -> bytes."""

    def __init__(self, files, sizes=None):
        self.files = files
        self.sizes = sizes or {}
        self.folders = {
            str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents
        }

    def exists(self, path):
        path = path.rstrip("/")
        return path in self.files or path in self.folders

    def texts(self, *suffixes):
        for path, text in sorted(self.files.items()):
            if text is not None and path.endswith(suffixes):
                yield path, text


def load():
    """What git has or would take, as it lies on the disk."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode()
    files, sizes = {}, {}
    for path in filter(None, listing.split("\0")):
        file = ROOT / path
        if not file.is_file():
            continue
        data = file.read_bytes()
        sizes[path] = len(data)
        try:
            files[path] = data.decode()
        except UnicodeDecodeError:
            files[path] = None
    return Tree(files, sizes)
