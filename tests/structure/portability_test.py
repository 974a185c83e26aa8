import unittest

import portability
import tree


class PortabilityTest(unittest.TestCase):
    longMessage = False

    def expect(self, message, path, text="", size=0):
        found = portability.problems(tree.Tree({path: text}, {path: size}))
        if message is None:
            self.assertEqual(found, [])
        else:
            self.assertEqual(len(found), 1, found)
            self.assertIn(message, found[0])

    def test_the_tree_is_portable(self):
        found = portability.problems(tree.load())
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_hosts_and_paths(self):
        self.expect("a registry's host", "dev", "curl https://" + portability.HOSTS[0] + "/simple")
        self.expect("a machine's path", "README.md", "cd " + portability.MACHINE_PATHS[0] + "minerva")
        self.expect(None, "README.md", "rooms/work/x and {home}" + portability.MACHINE_PATHS[1])

    def test_files(self):
        self.expect("weights are fetched", "docs/x.gguf", None)
        self.expect(None, "tests/data/x.gguf", None)
        self.expect("2000000 bytes", "docs/picture.png", None, 2_000_000)

    def test_lock_file(self):
        lock = '{"packages": {"a": {"version": "1", "resolved": "somewhere"}}}'
        self.expect("has 'resolved'", "web/package-lock.json", lock)
        self.expect(None, "web/package-lock.json", '{"packages": {"a": {"version": "1"}}}')


if __name__ == "__main__":
    unittest.main()
