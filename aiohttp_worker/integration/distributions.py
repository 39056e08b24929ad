"""Detection of PyPI's aiohttp among the files of this project.

Two distributions are made of this project: ``aiohttp-worker``, which has the packages ``aiohttp`` and ``aiohttp_worker``, and
``aiohttp-worker-core``, which has the latter alone, for environments with PyPI's aiohttp. Installers let files of different
distributions overwrite each other without a word.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from aiohttp_worker import __version__

FULL: Final = "aiohttp-worker"
CORE: Final = "aiohttp-worker-core"
FOREIGN: Final = "aiohttp"

_PARENT: Final = Path(__file__).resolve().parents[2]


class OverlayError(RuntimeError):
    """Files of two distributions lie over each other.

    A `RuntimeError`, because Gunicorn prints those of its start as one line, without a traceback, and ends with code 1.
    """


def overlay() -> str:
    """Return what is wrong, and the way out, if PyPI's aiohttp is installed beside the package ``aiohttp`` of this project.

    :return: one sentence, empty if nothing is wrong.
    """
    foreign = _installed(FOREIGN)
    # PyPI's package has a file there, and no folder.
    if foreign is None or not (_PARENT / "aiohttp" / "worker" / "__init__.py").is_file():
        return ""
    python = sys.executable
    return (
        f"PyPI's package {FOREIGN} ({foreign.version}) is installed beside {FULL} ({__version__}), and both bring a package "
        f"named aiohttp: run `{python} -m pip uninstall {FOREIGN} {FULL}`, and then `{python} -m pip install {FULL}`, or, "
        f"where PyPI's is needed, `{python} -m pip install {CORE} {FOREIGN}`, whose worker is aiohttp_worker.AsyncGunicornWorker."
    )


def refuse_damage() -> None:
    """Make sure that no file of an application's packages was overwritten.

    PyPI's aiohttp may lie over ours: what names the workers through ``aiohttp_worker`` can be served then.

    :raises OverlayError: ours lies over PyPI's; or two versions of this project lie over each other.
    """
    text = overlay()
    if text and not is_whole(distribution(FOREIGN)):
        raise OverlayError(text)
    full, core = _installed(FULL), _installed(CORE)
    if full is not None and core is not None and full.version != core.version:
        python = sys.executable
        raise OverlayError(
            f"{FULL} ({full.version}) and {CORE} ({core.version}) are installed over each other: run "
            f"`{python} -m pip uninstall {FULL} {CORE}`, and then install one of them."
        )


def is_whole(found: Distribution) -> bool:
    """Return whether the Python files of a distribution are those that were installed, as far as that was recorded."""
    files = [file for file in found.files or () if file.suffix == ".py" and file.hash is not None]
    return bool(files) and all(
        _is_unchanged(Path(str(file.locate())), file.hash.value) for file in files if file.hash is not None
    )


def _is_unchanged(path: Path, recorded: str) -> bool:
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == recorded


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
