import unittest

import source_style
import tree


class SourceStyleTest(unittest.TestCase):
    longMessage = False

    def expect(self, message, text, path="src/base/x.cc"):
        found = source_style.problems(tree.Tree({path: text}))
        if message is None:
            self.assertEqual(found, [])
        else:
            self.assertEqual(len(found), 1, found)
            self.assertIn(message, found[0])

    def test_the_sources_keep_the_rules(self):
        sources = tree.load()
        for warning in source_style.warnings(sources):
            print("warning:", warning)
        found = source_style.problems(sources)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_lines(self):
        self.expect("101 columns", "a" * 101 + "\n")
        self.expect("a tab", "\tint x;\n")
        self.expect("blanks at the end", "int x; \n")
        self.expect("exactly one newline", "int x;")
        self.expect(None, "a" * 100 + "\n")

    def test_length(self):
        self.expect("lines, wanted", "int x;\n" * 200)
        files = {f"src/base/{n}.cc": "int x;\n" for n in range(3)}
        files["src/base/long.cc"] = "int x;\n" * 1501
        found = source_style.problems(tree.Tree(files))
        self.assertEqual(found, ["src/base/long.cc: 1501 lines, at most 1500"])

    def test_calls(self):
        self.expect("use std::from_chars", "int x = atoi(text);\n")
        self.expect("use base/rng.h", "int x = std::rand();\n")
        self.expect("use std::string or fmt", "sprintf(out, format);\n")
        self.expect("joins", "worker.detach();\n")
        self.expect("a child process", 'std::system("ls");\n')
        self.expect("the full name", "using namespace std;\n")
        self.expect(None, "using namespace std::chrono_literals;\n")
        self.expect(None, 'popen("nm", "r");\n', "src/base/x_test.cc")
        self.expect("the work itself", "// TODO: finish\n")
        self.expect(None, "// not atoi(x), which hides errors\nint x = my_atoi(y);\n")

    def test_skips(self):
        self.expect("a skip says why", "GTEST_SKIP();\n", "src/base/x_test.cc")
        self.expect(None, 'GTEST_SKIP() << "NOT RUN: no AMX";\n', "src/base/x_test.cc")

    def test_names_and_guards(self):
        self.expect("says nothing (util)", "", "tools/string_util.py")
        self.expect("#pragma once", "int x;\n", "src/base/x.h")


if __name__ == "__main__":
    unittest.main()
