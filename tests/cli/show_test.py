"""`show` of whatever lies there: folders, files that are no model, and what our own engine says."""

import json
import sys
import unittest

import program
from program import ProgramTest

sys.path.insert(0, str(program.ROOT / "tools"))

import tiny_folder  # noqa: E402


class ShowTest(ProgramTest):
    def folder(self, home, name, config, tensors=None):
        """A folder with config.json and one tensor."""
        folder = home.folder / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        header = json.dumps(tensors or {"x.weight": {
            "dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
        (folder / "model.safetensors").write_bytes(
            len(header).to_bytes(8, "little") + header + bytes(16))
        return folder

    def test_a_folder_that_our_engine_runs(self):
        home = self.home()
        folder = home.folder / "tiny"
        tiny_folder.copy_with_tokenizer(program.ROOT / "tests/data/hf/qwen3", folder, 1)
        shown = home.json("show", folder, "--context", "512", "--json")
        self.assertEqual((shown["format"], shown["architecture"]), ("safetensors", "qwen3"))
        self.assertEqual(shown["unsupported"], [])
        self.assertEqual(shown["own_engine"], {"runs": True, "images": False})
        self.assertEqual(shown["context"], 512)
        self.assertGreater(shown["memory"]["weights_bytes"], 0)
        self.assertEqual(shown["tokenizer"]["tokens"], 70)
        words = home.run("show", folder, "--context", "512").stdout.decode()
        for line in ("own engine    runs it", "weights       BF16", "512 here, trained for"):
            self.assertIn(line, words)
        # The same of a model that sees, whose text part is run.
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(
            {"model_type": "seer", "text_config": config, "vision_config": {"hidden_size": 8}}))
        self.assertTrue(home.json("show", folder, "--json")["sees"])
        self.assertIn("own engine    runs its text; images are for other engines",
                      home.run("show", folder).stdout.decode())

    def test_folders_that_it_does_not_run_say_why(self):
        home = self.home()
        base = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
                "max_position_embeddings": 2048}
        unknown = self.folder(home, "unknown", {"model_type": "zamba9", **base})
        shown = home.json("show", unknown, "--json")
        self.assertEqual((shown["architecture"], shown["weight_type"]), ("zamba9", "F32"))
        self.assertIn('this one\'s model_type is "zamba9"', shown["unsupported"][0])
        self.assertFalse(shown["own_engine"]["runs"])
        gptq = self.folder(home, "gptq", {"model_type": "llama", **base,
                                          "quantization_config": {"quant_method": "gptq", "bits": 3}})
        self.assertIn("bits must be 2, 4 or 8 for GPTQ", home.json("show", gptq, "--json")["unsupported"][0])
        mlx = self.folder(home, "mlx", {"model_type": "llama", **base,
                                        "quantization": {"bits": 7, "group_size": 64}})
        self.assertIn("quantization of 7 bits", home.json("show", mlx, "--json")["unsupported"][0])
        words = home.run("show", gptq).stdout.decode()
        for line in ("format        gptq", "architecture  llama", "trained for 2048", "not supported"):
            self.assertIn(line, words)

    def test_what_is_no_model_is_shown_as_what_it_is(self):
        home = self.home()
        lora = home.folder / "lora"
        self.folder(home, "lora", {})
        (lora / "config.json").unlink()
        (lora / "model.safetensors").rename(lora / "adapter_model.safetensors")
        (lora / "adapter_config.json").write_text(json.dumps(
            {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8}))
        done = home.run("show", lora, "--json")
        self.assertEqual(done.returncode, 1)
        shown = json.loads(done.stdout)
        self.assertEqual((shown["kind"], shown["format"]), ("adapter", "safetensors"))
        self.assertIn("adapter_config.json: LORA weights of rank 8 for org/base", shown["evidence"])
        self.assertIn("changes another model", self.failure(done))


if __name__ == "__main__":
    unittest.main()
