"""What has killed or opened llama-server and mlx_lm elsewhere, sent through Minerva to the real
ones: they live on, and run nothing that a request, a model or the environment says."""

import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import program  # noqa: E402
from engine_child import config, instance_of, load  # noqa: E402

MODEL = program.sample_model("MINERVA_SAMPLE_SMOLLM2")
LLAMA = os.environ.get("MINERVA_LLAMA_SERVER")
if not LLAMA:
    program.not_run("MINERVA_LLAMA_SERVER is not set")

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
DEEP = "[" * 3000 + "]" * 3000


def tool(parameters, name="f"):
    return {"tools": [{"type": "function", "function": {"name": name, "parameters": parameters}}]}


def schema(value):
    return {"response_format": {"type": "json_schema",
                                "json_schema": {"name": "s", "schema": value}}}


def nested(levels):
    inner = {"type": "string"}
    for _ in range(levels):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner


# Each with the field that a refusal has to name.
CONSTRAINTS = [
    ("grammar", {"grammar": "root ::= " + "(" * 60000 + '"a"' + ")" * 60000}),
    ("grammar", {"grammar": 'root ::= "a"{1,999999999}'}),
    ("grammar", {"grammar": "root ::= root | root root"}),
    ("grammar_lazy", {"grammar_lazy": True}),
    ("guided_regex", {"guided_regex": "(a+)+$"}),
    ("guided_json", {"guided_json": {"not": {}}}),
    ("json_schema", {"json_schema": {"not": {"type": "string"}}}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("response_format", {"response_format": {"type": "grammar", "grammar": "x"}}),
    ("response_format", {"response_format": {"type": "json_object", "schema": {"not": {}}}}),
    ("response_format", schema({"not": {"type": "string"}})),
    ("response_format", schema({"type": "string", "maxLength": 2**31})),
    ("response_format", schema({"type": "string", "minLength": 10**9, "maxLength": 10**9})),
    ("response_format", schema({"type": "array", "minItems": 2**40, "items": {}})),
    ("response_format", schema({"type": "string", "pattern": "^(" * 500 + "$"})),
    ("response_format", schema({"type": "string", "pattern": "*a{,}"})),
    ("response_format", schema({"$ref": "#"})),
    ("response_format", schema({"enum": ["x" * 1000] * 2000})),
    ("response_format", schema(nested(20))),
    ("response_format", schema({"properties": {str(i): {} for i in range(9000)}})),
]
# A schema that is shown to the model and never compiled is answered, whatever it says.
TOOLS_SHOWN = [tool(parameters) for parameters in (
    {}, None, {"type": "object"}, {"type": "object", "properties": {}}, {"not": {}},
    {"type": "string", "pattern": "(("}, {"type": "string", "pattern": "*"},
    {"type": "string", "maxLength": 2**31}, {"$ref": "#/x"}, {"type": ["object", 1]}, {"type": 7},
    nested(25), {"properties": {str(i): {} for i in range(9000)}})]
TOOLS_REFUSED = [
    tool([]), tool("x"), tool(nested(40)), tool({}, name="a\nb"), tool({}, name=""),
    tool({}, name="x" * 5000), {"tools": [{}]}, {"tools": [None]}, {"tools": {}}, {"tools": "x"},
    {"tools": [1, 2]}, tool({}) | {"tool_choice": "required"},
    tool({}) | {"tool_choice": {"type": "function", "function": {"name": "g"}}},
]
# llama-server's own fields: none is passed on.
FORWARDED = [
    {"n_discard": -1}, {"n_keep": -(2**31)}, {"id_slot": 10**9},
    {"n_probs": -1}, {"lora": [{"id": 99, "scale": 1e308}]}, {"samplers": "kkkk" * 1000},
    {"dry_sequence_breakers": []}, {"mirostat": 9}, {"t_max_predict_ms": -1},
    {"speculative.n_max": 10**9}, {"n_indent": -5}, {"min_keep": 2**40},
    {"post_sampling_probs": [[]]}, {"response_fields": ["../../x"] * 1000},
    {"preserved_tokens": [[1]]}, {"grammar_triggers": [{"type": 9}]},
    {"chat_format": 99}, {"reasoning_format": "\0"}, {"parse_tool_calls": 1},
    {"continue_final_message": True}, {"multimodal_data": ["x"]}, {"n_cmpl": 10**6},
    {"logit_bias": [[1, False]] * 1000}, {"backend_sampling": True}, {"image_data": [{"id": 1}]},
]
VALUES = [
    ("max_tokens", -1), ("max_tokens", 2**63), ("n", 10**9), ("n", 0), ("temperature", 1e308),
    ("top_p", -1), ("top_k", 2**40), ("min_p", 2), ("presence_penalty", 1e30),
    ("logit_bias", {"999999999": 1}), ("logit_bias", {"-1": 1}), ("logit_bias", {"1": 1e30}),
    ("stop", ["x"] * 1000), ("stop", [""]), ("seed", "x"), ("timeout", -1), ("prompt", [-1]),
    ("prompt", [2**31]), ("prompt", [49151, 10**6]), ("prompt", ""), ("prompt", []),
    ("prompt", "a" * 100000), ("prompt", [[1], [2]]), ("prompt", {"prompt_string": "x"}),
    ("prompt", {"prompt_string": "x", "multimodal_data": ["AAAA"]}), ("repetition_penalty", 0),
    ("logprobs", -1), ("logprobs", 10**6), ("best_of", 10**6), ("suffix", "x"),
]
RAW = [
    b'{"model":"m","prompt":' + DEEP.encode() + b"}",
    b'{"model":"m","tools":' + DEEP.encode() + b"}",
    b'{"model":"m","messages":[],"tools":[' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"]}",
    b'{"model":"m","prompt":"\xc3("}', b'{"model":"m","prompt":"a","temperature":1e999}',
    b'{"model":"m","prompt":"a","prompt":"b"}', b'{"model":"m","prompt":"\\ud800"}',
    b'{"model":"m","prompt":"a","n_predict":NaN}', b'{"model":"m"' + b" " * 1000,
    b"[" * 100000, b"null", b"", b"\x00"]

PATHS = ["/slots", "/props", "/v1/../slots", "/v1/%2e%2e/slots", "//slots", "/slots/0?action=save",
         "/v1/models/../../slots", "/v1/models/..%2f..%2fslots", "/health/../props", "/completion",
         "/completions/../slots", "/lora-adapters", "/tokenize", "/detokenize", "/apply-template",
         "/infill", "/embedding", "/rerank", "/v1/health", "/models/load", "/tools", "/cors-proxy",
         "/metrics/../slots", "/v1/chat/completions/input_tokens", "/.well-known/x", "/%73lots"]

FORBIDDEN = ["-hf", "-hfr", "--hf-repo", "-mu", "--model-url", "--rpc", "--slot-save-path",
             "--sleep-idle-seconds", "--tools", "--agent", "--api-key", "--slots", "--props",
             "--metrics", "--media-path", "--path", "--models-dir", "--log-file", "--port"]

SECRET = "s3cr3t-c0ffee"
POISON = {name: SECRET for name in (
    "LLAMA_ARG_HOST", "LLAMA_ARG_PORT", "LLAMA_ARG_MODEL", "LLAMA_ARG_HF_REPO", "LLAMA_ARG_RPC",
    "LLAMA_ARG_ENDPOINT_SLOTS", "LLAMA_ARG_TOOLS", "LLAMA_ARG_CTX_SIZE", "LLAMA_API_KEY",
    "LLAMA_CACHE", "LLAMA_LOG_FILE", "HF_TOKEN", "HF_ENDPOINT", "HF_HOME", "HUGGING_FACE_HUB_TOKEN",
    "PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "LD_AUDIT", "GGML_BACKEND_PATH",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "SSL_CERT_FILE", "CURL_CA_BUNDLE",
    "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "BASH_ENV",
    "GCONV_PATH", "OMP_NUM_THREADS")} | {"LD_PRELOAD": "/nonexistent/s3cr3t-c0ffee.so",
                                         "LD_LIBRARY_PATH": "/nonexistent/s3cr3t-c0ffee"}
PASSED_ON = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "CUDA_VISIBLE_DEVICES": "0"}


class LlamaServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="m-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        tables = "[backends.mlx]\nenabled = false\n"
        cls.home = program.Home(models={"m": MODEL}, config=config(LLAMA, tables))
        cls.addClassCleanup(cls.home.close)
        cls.server = program.Server(cls.home, TMPDIR=cls.folder, XDG_RUNTIME_DIR="",
                                    **PASSED_ON, **POISON)
        cls.addClassCleanup(cls.server.close)
        cls.child = load(cls.server, "m")

    def tearDown(self):
        """Whatever was sent: it is the same process, and answers."""
        self.assertEqual(instance_of(self.server)["pid"], self.child.pid)
        status, answer = self.server.post(TEXT, model="m", prompt="1, 2, 3, 4,", max_tokens=2,
                                          temperature=0)
        self.assertEqual((status, answer["choices"][0]["text"]), (200, " 5"), answer)
        self.assertEqual(answer["minerva"]["backend"], "llama_cpp")
        self.assertNotIn("retries", answer["minerva"])

    def send(self, path, fields):
        body = {"model": "m", "max_tokens": 1, "backend": "llama_cpp"}
        body |= {"prompt": "a"} if path == TEXT else {"messages": [{"role": "user",
                                                                  "content": "a"}]}
        status, self.headers, answer = self.server.request("POST", path, body | fields)
        return status, json.loads(answer)

    def check_refused(self, got, field):
        status, answer = got
        self.assertIn(status, (400, 413, 422), str(answer)[:300])
        error = answer["error"]
        self.assertIn(field, f'{error["param"]} {error["message"]}')

    # --- S13 ---

    def test_constraints_are_refused_by_name(self):
        for path in (TEXT, CHAT):
            for field, body in CONSTRAINTS:
                with self.subTest(path=path, body=str(body)[:80]):
                    status, answer = self.send(path, body)
                    if status != 200:
                        self.check_refused((status, answer), field)
                    else:  # it belongs to nothing here
                        self.assertEqual(self.headers["x-minerva-ignored"], field)

    def test_hostile_tools(self):
        for body in TOOLS_SHOWN:
            with self.subTest(body=str(body)[:80]):
                status, answer = self.send(CHAT, body)
                if status == 200:
                    self.assertEqual(answer["minerva"]["backend"], "llama_cpp")
                else:  # the template wrote more than the context holds
                    self.check_refused((status, answer), "context")
        for body in TOOLS_REFUSED:
            with self.subTest(body=str(body)[:80]):
                self.check_refused(self.send(CHAT, body), "tool")

    def test_fields_of_the_engine_are_not_passed_on(self):
        plain = self.send(TEXT, {"temperature": 0, "max_tokens": 4})[1]["choices"]
        for body in FORWARDED:
            with self.subTest(body=str(body)[:80]):
                field = next(iter(body))
                status, answer = self.send(TEXT, body | {"temperature": 0, "max_tokens": 4})
                if status == 200:
                    self.assertEqual(self.headers["x-minerva-ignored"], field)
                    self.assertEqual(answer["choices"], plain)
                else:
                    self.check_refused((status, answer), field)

    def test_values_out_of_their_range(self):
        for field, value in VALUES:
            with self.subTest(field=field, value=str(value)[:40]):
                self.check_refused(self.send(TEXT, {field: value}), field)

    def test_bodies_that_are_no_requests(self):
        for path in (TEXT, CHAT):
            for body in RAW:
                with self.subTest(path=path, body=body[:40]):
                    self.assertEqual(self.server.request("POST", path, body)[0], 400)

    # --- S29 ---

    def test_the_command_line(self):
        argv = [os.fsdecode(each) for each in self.child.argv()]
        self.assertEqual(argv[0], LLAMA)
        self.assertTrue(os.path.isabs(self.child.value_of("-m")))
        for wanted in ("--no-slots", "--no-webui", "--offline"):
            self.assertIn(wanted, argv)
        for never in FORBIDDEN:
            self.assertFalse([a for a in argv if a == never or a.startswith(never + "=")], never)

    def test_paths_that_are_not_ours_reach_no_engine(self):
        os.kill(self.child.pid, signal.SIGSTOP)  # what asks it gets no answer
        try:
            for path in PATHS:
                with self.subTest(path=path):
                    self.assertEqual(self.server.request("GET", path)[0], 404)
                    self.assertIn(self.server.request("POST", path, {})[0], (404, 405))
        finally:
            os.kill(self.child.pid, signal.SIGCONT)

    # --- S27 ---

    def test_the_environment_is_a_closed_list(self):
        private = str(pathlib.Path(self.child.value_of("--host")).parent)
        wanted = PASSED_ON | {"HOME": private, "PATH": os.environ["PATH"], "TMPDIR": self.folder}
        wanted |= {name: value for name, value in os.environ.items()
                   if name.startswith("LC_") and name not in PASSED_ON}
        self.assertEqual(self.child.environment(), wanted)
        self.assertEqual(self.child.parent().environment(), wanted)

    def test_no_command_line_holds_a_secret(self):
        key = pathlib.Path(self.child.value_of("--api-key-file")).read_text().strip()
        self.assertGreaterEqual(len(key), 64)
        seen = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            seen += os.fsencode(self.folder) in line
            self.assertNotIn(key.encode(), line)
            self.assertNotIn(SECRET.encode(), line)
        self.assertGreaterEqual(seen, 2)  # the engine and its guard
        self.assertNotIn(key, str(self.child.environment()))


PYTHON = os.environ.get("MINERVA_MLX_PYTHON")
FOLDER = os.environ.get("MINERVA_SAMPLE_TINY_MLX")


@unittest.skipUnless(PYTHON and FOLDER,
                     "NOT RUN: MINERVA_MLX_PYTHON or MINERVA_SAMPLE_TINY_MLX is not set")
class ModelsWithCode(program.ProgramTest):
    """S07: what a folder brings is never run, by whatever name it is called."""

    def test_canaries(self):
        kinds = {
            "auto_map": ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}),
            "model_file": ("config.json", {"model_file": "evil.py"}),
            "trust": ("tokenizer_config.json", {"trust_remote_code": True}),
            "tokenizer": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T"]}}),
            "inner": ("config.json", {"text_config": {"auto_map": {"AutoConfig": "evil.C"}}}),
            "script": (None, None),
        }
        home = self.home(config='backend = "mlx"\ncontext = 128\n[backends.mlx]\n'
                                f'python = "{PYTHON}"\n[backends.llama_cpp]\nenabled = false\n')
        canary = home.folder / "canary"
        shutil.copytree(FOLDER, home.models / "plain")
        for name, (file, more) in kinds.items():
            folder = home.models / name
            shutil.copytree(FOLDER, folder)
            if file:
                path = folder / file
                path.write_text(json.dumps(json.loads(path.read_text()) | more))
            if name != "trust":
                (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
        server = self.keep(program.Server(home))
        for name, (_, more) in kinds.items():
            with self.subTest(kind=name):
                status, answer = server.post("/v1/models/load", model=name)
                self.assertIn(status, range(400, 504), answer)
                message = answer["error"]["message"]
                self.assertRegex(message, "code|evil.py|auto_map|model_file|trust_remote_code")
                status, answer = server.post(CHAT, model=name, max_tokens=1, messages=[
                    {"role": "user", "content": "a"}])
                self.assertGreaterEqual(status, 400, answer)
        load(server, "plain", "mlx")  # the same folder without code runs
        # Our own engine runs the weights, and the code of nobody.
        load(server, "auto_map", "native")
        status, answer = server.post(CHAT, model="auto_map", backend="native", max_tokens=1,
                                     messages=[{"role": "user", "content": "a"}])
        self.assertEqual(status, 200, answer)
        self.assertFalse(canary.exists())


if __name__ == "__main__":
    unittest.main()
