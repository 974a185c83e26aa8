import unittest

import document_paths
import tree


def problems(text, *files):
    content = {path: "" for path in ["src/base/log.h", "docs/api.md", "tools/fetch.py", *files]}
    return document_paths.problems(tree.Tree({**content, "README.md": text}))


class DocumentPathsTest(unittest.TestCase):
    longMessage = False

    def test_the_documents_name_what_exists(self):
        found = document_paths.problems(tree.load())
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_existing(self):
        self.assertEqual(problems("`src/base/` `base/log.h` `log.h` [api](docs/api.md#chat)"), [])
        self.assertEqual(problems("`docs/*.md` and `x_test.cc` and `build/minerva`"), [])

    def test_missing(self):
        self.assertIn("names src/base/gone.h", problems("see `src/base/gone.h`.")[0])
        self.assertIn("names base/gone.h", problems("see `base/gone.h`")[0])
        self.assertIn("names gone.cc", problems("see `gone.cc`")[0])
        self.assertIn("names docs/gone.md", problems("see [it](docs/gone.md)")[0])
        self.assertIn("names tools/gone.py", problems("```\n./tools/gone.py --all\n```")[0])

    def test_what_is_no_path(self):
        self.assertEqual(problems("`POST /v1/models` `text/event-stream` `std::move` `--a/b`"), [])


if __name__ == "__main__":
    unittest.main()
