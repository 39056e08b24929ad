"""The environment of the comparison: peers at pinned versions, our two forms, a certificate, a file.

Everything is made once under ``build/benchmarks`` of the project and used again.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "benchmarks"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
APPS = Path(__file__).with_name("apps")
FILE_SIZE = 10_000_000
COMPILE = "AIOHTTP_WORKER_COMPILE"  # setup.py documents it


@dataclass(frozen=True)
class Environment:
    """Where the parts of a comparison are."""

    python: Path  # of the environment that holds all servers
    forms: dict[str, Path]  # our distribution: "compiled", "plain" → the folder to import it from
    certificate: Path
    key: Path
    folder: Path

    @property
    def record(self) -> Path:
        """Where the application notes what it saw of an upload."""
        return self.folder / "record"

    def script(self, name: str) -> str:
        """Return the path of a command that is installed in the environment."""
        return str(self.python.with_name(name))

    def has(self, name: str) -> bool:
        """Return whether that command is installed."""
        return self.python.with_name(name).exists()

    def variables(self, form: str) -> dict[str, str]:
        """Return the environment variables of a server's processes."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        paths = [str(self.forms[form])] if form else []
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join([*paths, str(APPS)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCHMARK_FILE": str(self.folder / "www" / "file"),
            "BENCHMARK_RECORD": str(self.record),
        }


def prepare(in_place: bool = False) -> Environment:
    """Make what is missing and return it all.

    :param in_place: import our packages from the working tree instead of installing them first.
    :raises RuntimeError: if our distribution cannot be installed, with the end of pip's output.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = make_venv()
    if in_place:
        forms = {"compiled": ROOT, "plain": ROOT}
    else:
        forms = {form: install_ours(python, form) for form in ("compiled", "plain")}
    certificate, key = make_certificate()
    make_file()
    return Environment(python, forms, certificate, key, FOLDER)


def make_venv() -> Path:
    """Return the interpreter of the peers' environment; a peer that cannot be built here is left out with a word."""
    venv = FOLDER / "peers-{}.{}".format(*sys.version_info[:2])
    python = venv / "bin" / "python"
    stamp = venv / "requirements.txt"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return python
    say("installing the peers")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    for requirement in read_requirements(REQUIREMENTS.read_text()):
        reason = pip(python, "install", requirement)
        if reason:
            say(f"{requirement} is left out: {reason}")
    shutil.copy(REQUIREMENTS, stamp)
    return python


def read_requirements(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def pip(python: Path, *arguments: str) -> str:
    """Run pip and return the last line of its complaint, "" when all went well."""
    completed = subprocess.run(
        [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    if completed.returncode == 0:
        return ""
    return (completed.stdout.strip().splitlines() or ["pip failed"])[-1]


def install_ours(python: Path, form: str) -> Path:
    """Install the working tree as a user gets it, compiled or plain, into a folder of its own; again if it has changed."""
    target = FOLDER / f"ours-{form}"
    stamp, state = target / "source.sha256", digest_of_source(python)
    if stamp.exists() and stamp.read_text() == state:
        return target
    say(f"installing aiohttp-worker ({form})")
    shutil.rmtree(target, ignore_errors=True)
    source = FOLDER / "source"
    shutil.rmtree(source, ignore_errors=True)
    # A copy: building in the tree leaves files there, and compiled ones would win over every later edit.
    ignored = shutil.ignore_patterns("build", "dist", ".git", ".venv*", "*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    previous = os.environ.get(COMPILE)
    os.environ[COMPILE] = "0"
    if form == "compiled":
        del os.environ[COMPILE]
    try:
        reason = pip(python, "install", "--no-deps", "--target", str(target), str(source))
    finally:
        os.environ.pop(COMPILE, None)
        if previous is not None:
            os.environ[COMPILE] = previous
        shutil.rmtree(source, ignore_errors=True)
    if reason:
        raise RuntimeError(f"aiohttp-worker ({form}) cannot be installed: {reason}")
    if form == "compiled" and not list(target.rglob("*.so")):
        say("no compiler: the compiled form is plain too")
    stamp.write_text(state)
    return target


def digest_of_source(python: Path) -> str:
    """Return a digest of everything that decides what is installed."""
    digest = hashlib.sha256(str(python).encode())
    for path in sorted([*ROOT.glob("aiohttp*/**/*.*"), *ROOT.glob("setup.py"), *ROOT.glob("pyproject.toml")]):
        if path.is_file() and path.suffix not in (".pyc", ".so"):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def make_certificate() -> tuple[Path, Path]:
    """Return a self-signed certificate for 127.0.0.1 and its key (PKCS #8)."""
    certificate, key = FOLDER / "certificate.pem", FOLDER / "key.pem"
    if not certificate.exists():
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
    return certificate, key


def make_file() -> None:
    """Make the file of the download workload."""
    file = FOLDER / "www" / "file"
    if not file.exists() or file.stat().st_size != FILE_SIZE:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(FILE_SIZE))


def say(text: str) -> None:
    """Tell the person who waits what goes on."""
    print(text, file=sys.stderr, flush=True)
