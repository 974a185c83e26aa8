#!/usr/bin/env python3
"""fake_engine with llama-server's command line, so that Minerva starts and supervises it as that.

The faults of the next start are read from the file "faults" beside the "engine" link in the folder
that this script's own link stands in (chaos.py makes both): one argument a line.
"""

import os
import pathlib
import sys


def value_of(flag):
    arguments = sys.argv[1:]
    return arguments[arguments.index(flag) + 1] if flag in arguments else None


def main():
    if "--version" in sys.argv:
        print("version: 10434 (fake)")
        return
    if "--list-devices" in sys.argv:
        print("Available devices:")
        return
    folder = pathlib.Path(sys.argv[0]).absolute().parent
    engine = str(folder / "engine")
    arguments = [engine, "--socket", value_of("--host"), "--api-key-file",
                 value_of("--api-key-file"), "--ctx-size", "4096"]
    faults = folder / "faults"
    if faults.exists():
        arguments += faults.read_text().split()
    os.execv(engine, arguments)


main()
