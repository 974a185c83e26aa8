import unittest

import include_table
import tree

TABLE = """
## Who may include whom

| room | may include | outside libraries |
|---|---|---|
| `base` | - | spdlog in `log.cc`, OS in `*_linux.cc` |
| `engine` | `base` | - |
| `kernels` | `base`, `kernels/*/*.h` | - |
| `kernels/<isa>` | `kernels/*.h` | intrinsics, `<cstdint>` |
| `backend` | `base` | - |
| `backend/native` | `backend/*.h`, `engine` | - |
| `serve` | `base`, `backend/*.h` | JSON |
| `app` | everything but `serve` | everything |
"""
HEADERS = ["base/log.h", "engine/engine.h", "backend/backend.h", "backend/native/native.h",
           "serve/serve.h", "kernels/table.h", "kernels/avx2/gemv.h", "engine/test_model.h"]


def problems(**files):
    content = {f"src/{header}": "" for header in HEADERS}
    content["tests/support/writer.h"] = ""
    content["ARCHITECTURE.md"] = TABLE
    for path, text in files.pop("files", files).items():
        content[path] = text
    return include_table.problems(tree.Tree(content))


class IncludeTableTest(unittest.TestCase):
    longMessage = False

    def expect(self, path, include, message):
        found = problems(files={path: f"#include {include}\n"})
        if message is None:
            self.assertEqual(found, [])
        else:
            self.assertEqual(len(found), 1, found)
            self.assertIn(message, found[0])

    def test_the_tree_keeps_the_table(self):
        found = include_table.problems(tree.load())
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_allowed(self):
        self.expect("src/engine/x.cc", '"base/log.h"', None)
        self.expect("src/engine/x.cc", '"engine/engine.h"', None)
        self.expect("src/backend/native/x.cc", '"backend/backend.h"', None)
        self.expect("src/kernels/x.cc", '"kernels/avx2/gemv.h"', None)
        self.expect("src/base/log.cc", "<spdlog/spdlog.h>", None)
        self.expect("src/engine/x.cc", "<fmt/core.h>", None)
        self.expect("src/app/main.cc", "<openssl/ssl.h>", None)

    def test_a_room_that_is_not_in_the_row(self):
        self.expect("src/engine/x.cc", '"serve/serve.h"', "room engine may not include")
        self.expect("src/app/main.cc", '"serve/serve.h"', "room app may not include")
        self.expect("src/kernels/avx2/x.cc", '"base/log.h"', "may not include base/log.h")

    def test_a_glob_does_not_reach_into_sub_folders(self):
        self.expect("src/serve/x.cc", '"backend/native/native.h"', "may not include")

    def test_libraries(self):
        self.expect("src/engine/x.cc", "<nlohmann/json.hpp>", "may not use JSON")
        self.expect("src/base/other.cc", "<spdlog/spdlog.h>", "may not use spdlog")
        self.expect("src/base/clock.cc", "<unistd.h>", "may not use OS")
        self.expect("src/engine/x.cc", "<immintrin.h>", "may not use intrinsics")
        self.expect("src/kernels/avx2/x.cc", "<vector>", "may include no <vector>")
        self.expect("src/base/x.cc", "<strange/thing.h>", "is of no library")

    def test_tests_may_use_more(self):
        self.expect("src/engine/x_test.cc", "<gtest/gtest.h>", None)
        self.expect("src/engine/x.cc", "<gtest/gtest.h>", "may not use tests")
        self.expect("src/engine/x_test.cc", '"serve/serve.h"', "may not include")
        self.expect("src/engine/x_test.cc", '"support/writer.h"', None)
        self.expect("src/engine/x.cc", '"support/writer.h"', "for tests only")
        self.expect("src/engine/x.cc", '"engine/test_model.h"', "for tests only")

    def test_a_header_that_does_not_exist(self):
        self.expect("src/engine/x.cc", '"base/gone.h"', "which is not in src/")

    def test_a_folder_without_a_row(self):
        found = problems(files={"src/attic/x.cc": ""})
        self.assertIn("has no row", found[0])

    def test_a_ring(self):
        ring = include_table.cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}})
        self.assertEqual(ring, "a -> b -> c -> a")
        self.assertIsNone(include_table.cycles({"a": {"b", "c"}, "b": {"c"}}))


if __name__ == "__main__":
    unittest.main()
