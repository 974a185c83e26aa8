#!/usr/bin/env python3
"""A Python in which mlx-vlm is installed, for what Minerva does with one: the probe, and
mlx_vlm.server by what is known of its wire from reading it. It was never held against the real one.

The last message says what happens: "body" answers with the request's body, "error" breaks the
stream with an error event, "cut" ends it without one, "refuse" is a 400, "think" thinks first; all
else is answered with itself.
"""

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOAD_SECONDS = 0.05  # its port is closed until then


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def allowed(self):
        if self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        self.answer(401, {"detail": "Invalid or missing API key."})
        return False

    def do_GET(self):
        if not self.allowed():
            return
        if self.path == "/health":
            return self.answer(200, {"status": "healthy", "loaded_model": self.server.model,
                                     "loaded_context_size": 2048})
        self.answer(404, {"detail": "Not Found"})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.allowed():
            return
        if self.path != "/v1/chat/completions":
            return self.answer(404, {"detail": "Not Found"})
        body = json.loads(raw)
        if body["model"] != self.server.model:
            self.server.model = body["model"]  # as the real one does
        if any(not isinstance(message["content"], str) for message in body["messages"]):
            return self.answer(400, {"detail": "a picture was read or fetched"})
        said = body["messages"][-1]["content"]
        if said == "refuse":
            return self.answer(400, {"detail": "Prompt is too long for the context length."})
        self.stream(body, json.dumps(body) if said == "body" else said)

    def stream(self, body, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        words = text.split(" ")[:body["max_tokens"]]
        if text == "think":
            self.chunk({"role": "assistant", "reasoning": "hm"})
        for index, word in enumerate(words):
            self.chunk({"role": "assistant", "content": word if index == 0 else " " + word})
        if text == "cut":
            return self.end()
        if text == "error":
            self.event({"error": "the generator died"})
            return self.end()
        self.chunk({"role": "assistant"}, "length" if len(words) == body["max_tokens"] else "stop",
                   {"prompt_tokens": 7, "completion_tokens": len(words),
                    "prompt_tokens_details": {"cached_tokens": 3}})
        self.write(b"data: [DONE]\n\n")
        self.end()

    def chunk(self, delta, reason=None, usage=None):
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                    "model": self.server.model, "usage": usage,
                    "choices": [{"index": 0, "finish_reason": reason, "delta": delta}]})

    def event(self, value):
        self.write(f"data: {json.dumps(value)}\n\n".encode())

    def write(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")


def serve(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8080)
    for flag in ("--log-level", "--max-tokens", "--prefill-step-size", "--max-num-seqs"):
        parser.add_argument(flag)
    options = parser.parse_args(arguments)
    time.sleep(LOAD_SECONDS)
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    server.daemon_threads = True
    server.key = os.environ["MLX_VLM_SERVER_API_KEY"]
    server.model = options.model
    server.serve_forever()


def main():
    arguments = sys.argv[1:]
    code = arguments[arguments.index("-c") + 1] if "-c" in arguments else ""
    if "minerva-probe" in code:
        print("minerva-probe|mlx-lm 0.32.2, mlx 0.32.4, mlx-vlm 0.7.10|Device(cpu, 0)")
    elif arguments[:3] == ["-P", "-m", "mlx_vlm.server"]:
        serve(arguments[3:])
    else:
        sys.exit(f"this is no server: {arguments}")


main()
