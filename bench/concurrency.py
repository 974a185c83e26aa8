#!/usr/bin/env python3
"""One client, then many at once: are the greedy answers equal, do the requests share engine steps,
and what does sharing bring? Talks to a running server; prints JSON.

    bench/concurrency.py http://127.0.0.1:11434 [--clients 16] [--new-tokens 64] [--model NAME]
"""
import argparse
import concurrent.futures
import json
import re
import time
import urllib.request

PATIENCE = 600  # seconds for one answer


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return json.load(response)


def answer(url, model, number, new_tokens):
    """A greedy answer of exactly `new_tokens` tokens to a prompt of its own."""
    body = {"prompt": f"Chapter {number}. On that day the {number + 2} travellers", "temperature": 0,
            "max_tokens": new_tokens, "ignore_eos": True} | ({"model": model} if model else {})
    return post(f"{url}/v1/completions", body)["choices"][0]["text"]


def batch_widths(url):
    """The histogram of sequences in a step: upper bound -> steps up to it."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE) as response:
        text = response.read().decode()
    found = re.findall(r'^minerva_batch_width_bucket\{le="([^"]+)"\} (\d+)', text, re.MULTILINE)
    return {float(bound.replace("+Inf", "inf")): int(count) for bound, count in found}


def steps_at_least(before, after, width):
    """Steps between two histograms with at least `width` sequences in them."""
    below = max((bound for bound in after if bound < width), default=None)
    total = after[float("inf")] - before.get(float("inf"), 0)
    return total - (after[below] - before.get(below, 0) if below is not None else 0)


def measure(url, clients, new_tokens, model=None):
    answer(url, model, 0, 4)  # loads the model
    start = time.monotonic()
    alone = [answer(url, model, number, new_tokens) for number in range(clients)]
    one_s = time.monotonic() - start
    before = batch_widths(url)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        together = list(pool.map(lambda n: answer(url, model, n, new_tokens), range(clients)))
    many_s = time.monotonic() - start
    after = batch_widths(url)
    tokens = clients * new_tokens
    return {"clients": clients, "new_tokens": new_tokens, "equal": alone == together,
            "different_answers": len(set(alone)), "one_client_tokens_per_s": tokens / one_s,
            "all_clients_tokens_per_s": tokens / many_s, "ratio": one_s / many_s,
            "steps": after[float("inf")] - before.get(float("inf"), 0),
            "steps_of_half_the_clients": steps_at_least(before, after, clients / 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--model")
    a = parser.parse_args()
    print(json.dumps(measure(a.url.rstrip("/"), a.clients, a.new_tokens, a.model), indent=1))


if __name__ == "__main__":
    main()
