"""The program with the sample models: what only a model that was trained can show."""

import json
import unittest

import program
from program import ProgramTest, Server

SMOLLM2 = program.sample_model("MINERVA_SAMPLE_SMOLLM2")
GEMMA3 = program.sample_model("MINERVA_SAMPLE_GEMMA3")
TEXT = program.ROOT / "tests" / "data" / "arch" / "sample_text.txt"


class SampleModelsTest(ProgramTest):
    def sample_home(self):
        return self.home(models={"smollm2": SMOLLM2, "gemma3": GEMMA3})

    def test_list_and_show(self):
        home = self.sample_home()
        listed = {entry["name"]: entry for entry in home.json("list", "--json")}
        self.assertEqual(listed["smollm2"]["architecture"], "llama")
        self.assertEqual(listed["smollm2"]["weight_type"], "Q4_1")
        self.assertEqual(listed["gemma3"]["architecture"], "gemma3")
        smollm2 = home.json("show", "smollm2", "--json")
        self.assertTrue(smollm2["chat_template"]["own"])
        self.assertEqual(smollm2["unsupported"], [])
        ends = [token["text"] for token in smollm2["special_tokens"]["end_of_generation"]]
        self.assertEqual(ends, ["<|endoftext|>", "<|im_end|>"])
        gemma3 = home.json("show", "gemma3", "--json")
        self.assertFalse(gemma3["chat_template"]["own"])
        self.assertTrue(gemma3["tokenizer"]["adds_bos"])

    def test_template(self):
        context = {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True}
        done = self.sample_home().run("template", "smollm2", stdin=json.dumps(context))
        self.assertEqual(
            done.stdout.decode(),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")

    def test_text_goes_through_tokens_unchanged(self):
        home = self.sample_home()
        text = "Grüße, 漢字 und 🙂\n\n\tdef f(x):\r\n    return 'x'  \n"
        for model in ("smollm2", "gemma3"):
            ids = home.run("tokenize", model, stdin=text).stdout
            self.assertEqual(home.run("detokenize", model, stdin=ids).stdout.decode(), text)

    def test_eval(self):
        home = self.sample_home()
        for model, most in (("smollm2", 60), ("gemma3", 60)):
            report = home.json("eval", model, "--text", TEXT, "--json", "--tokens", 200,
                               "--kl-to", "f32")
            self.assertLess(report["perplexity"], most, model)
            self.assertLess(report["mean_kl"], 0.05, model)
            self.assertGreater(report["same_argmax"], 0.9, model)

    def test_bench(self):
        report = self.sample_home().json("bench", "smollm2", "--json")
        self.assertGreater(report["decode_tokens_per_s"], 0)
        self.assertGreater(report["prefill_512_tokens_per_s"], report["decode_tokens_per_s"])
        self.assertGreater(report["weight_bytes"], 50e6)

    def test_run_answers(self):
        home = self.sample_home()
        done = home.run("run", "smollm2", "--greedy", "--max-tokens", 20,
                        stdin="What is the capital of Germany?")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Berlin", done.stdout.decode())

    def test_a_base_model_completes(self):
        server = self.keep(Server(self.sample_home(), "--model", "gemma3", "--context", 2048))
        status, answer = server.post("/v1/completions", model="gemma3", temperature=0,
                                     prompt="Paris is the capital of", max_tokens=4)
        self.assertEqual(status, 200)
        self.assertIn("France", answer["choices"][0]["text"])


if __name__ == "__main__":
    unittest.main()
