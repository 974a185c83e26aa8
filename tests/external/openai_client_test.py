"""The stock openai client against `minerva serve` with a sample model."""

import concurrent.futures
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import program  # noqa: E402

SMOLLM2 = program.sample_model("MINERVA_SAMPLE_SMOLLM2")
try:
    import openai
except ImportError:
    program.not_run("the openai package is not installed (tools/packages/python.txt)")

QUESTION = [{"role": "user", "content": "What is the capital of Germany?"}]


class OpenaiClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = program.Home(models={"smollm2": SMOLLM2})
        cls.addClassCleanup(cls.home.close)
        cls.server = program.Server(cls.home, "--model", "smollm2", "--context", 2048)
        cls.addClassCleanup(cls.server.close)
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1",
                                   api_key="none", max_retries=0, timeout=program.WAIT_MAX)
        cls.addClassCleanup(cls.client.close)

    def ask(self, **fields):
        defaults = {"model": "smollm2", "messages": QUESTION, "temperature": 0, "max_tokens": 24}
        return self.client.chat.completions.create(**(defaults | fields))

    def test_an_answer(self):
        answer = self.ask()
        self.assertIn("Berlin", answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_a_stream_says_the_same(self):
        chunks = list(self.ask(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        whole = self.ask()
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)

    def test_a_stream_that_is_left_early(self):
        with self.ask(stream=True, max_tokens=1000, extra_body={"ignore_eos": True}) as stream:
            next(iter(stream))
        self.assertIn("Berlin", self.ask().choices[0].message.content)

    def test_completions(self):
        answer = self.client.completions.create(model="smollm2", prompt="1, 2, 3, 4,",
                                                temperature=0, max_tokens=4, logprobs=2)
        self.assertIn("5", answer.choices[0].text)
        self.assertEqual(len(answer.choices[0].logprobs.tokens), answer.usage.completion_tokens)

    def test_logprobs(self):
        answer = self.ask(logprobs=True, top_logprobs=3, max_tokens=4)
        for entry in answer.choices[0].logprobs.content:
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.logprob, entry.top_logprobs[0].logprob)  # greedy
            self.assertLessEqual(entry.logprob, 0)

    def test_seed_and_choices(self):
        sampled = {"temperature": 1, "seed": 5, "n": 3, "max_tokens": 12}
        first = [choice.message.content for choice in self.ask(**sampled).choices]
        again = [choice.message.content for choice in self.ask(**sampled).choices]
        self.assertEqual(first, again)
        self.assertEqual(len(set(first)), 3)

    def test_stop_strings(self):
        whole = self.ask().choices[0].message.content
        answer = self.ask(stop=["Berlin"])
        self.assertEqual(answer.choices[0].message.content, whole.split("Berlin")[0])
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["smollm2"])
        self.assertEqual(self.client.models.retrieve("smollm2").id, "smollm2")

    def test_errors_are_the_clients_exceptions(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.ask(model="smollm3")
        self.assertEqual(caught.exception.code, "model_not_found")
        self.assertIn("smollm2", caught.exception.message)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("smollm3")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(temperature=9)
        self.assertEqual(caught.exception.param, "temperature")
        long = [{"role": "user", "content": "word " * 3000}]
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(messages=long)
        self.assertIn("2048", caught.exception.message)
        with self.assertRaises(openai.BadRequestError):
            self.ask(messages=long, stream=True)

    def test_sixteen_clients_get_what_one_gets(self):
        def answer(number):
            asked = [{"role": "user", "content": f"Write a sentence about the number {number}."}]
            chunks = self.ask(messages=asked, max_tokens=32, stream=number % 2 == 0)
            if number % 2:
                return chunks.choices[0].message.content
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

        alone = [answer(number) for number in range(16)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            together = list(pool.map(answer, range(16)))
        self.assertEqual(together, alone)
        self.assertEqual(len(set(alone)), 16)


if __name__ == "__main__":
    unittest.main()
