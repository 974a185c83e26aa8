#!/usr/bin/env python3
"""Any templates against Python's jinja2, with the conversations of make_template_goldens.py.

    compare_templates.py MINERVA TEMPLATE...

Ends with 1 if anything that Python renders comes out different.
"""
import json
import pathlib
import subprocess
import sys

import make_template_goldens as goldens


def by_python(template, context):
    try:
        return template.render(**context)
    except Exception:  # whatever a template does to Python
        return None


def by_minerva(minerva, path, context):
    given = context | {"now": goldens.NOW.isoformat()}
    run = subprocess.run([minerva, "template", path], input=json.dumps(given).encode(),
                         capture_output=True, check=False)
    return run.stdout.decode() if run.returncode == 0 else None, run.stderr.decode().strip()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    environment = goldens.environment()
    counts = dict.fromkeys(("equal", "refused by both", "rendered here only", "different"), 0)
    for path in map(pathlib.Path, sys.argv[2:]):
        template = environment.from_string(path.read_bytes().decode())
        for case in goldens.conversations():
            wanted = by_python(template, case["context"])
            text, why = by_minerva(sys.argv[1], path, case["context"])
            if wanted == text:
                counts["refused by both" if text is None else "equal"] += 1
            elif wanted is None:
                counts["rendered here only"] += 1
            else:
                counts["different"] += 1
                print(f"{path.name} {case['name']}: {why or 'other text'}")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(1 if counts["different"] else 0)


if __name__ == "__main__":
    main()
