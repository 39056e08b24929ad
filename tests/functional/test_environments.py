"""Both distributions of this project, and PyPI's aiohttp: installed in real environments, in every order, and served from there.

An environment here is one without pip; what is installed comes from wheels that are built or fetched once, without an index.
What all of them need is in a folder that they share.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.test_packaging import LEFTOVERS, ROOT, succeed

from .command import Command

pytestmark = pytest.mark.slow

FULL, CORE, FOREIGN = "aiohttp-worker", "aiohttp-worker-core", "aiohttp"
OVERLAID = "PyPI's package aiohttp ("

# PyPI's client, and ours, in one coroutine application.
APPLICATION = """
import aiohttp
from aiohttp_worker import client

async def application(environ, start_response):
    path = environ["PATH_INFO"]
    url = f"http://{environ['HTTP_HOST']}/plain"
    text = "plain"
    if path == "/theirs":
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = f"theirs: {await response.text()}"
    elif path == "/ours":
        response = await client.request("GET", url)
        text = f"ours: {(await response.read_and_close()).decode()}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""
PLAIN = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]
"""
DEMO = """
[app:main]
paste.app_factory = aiohttp_worker.demo:main
[server:main]
use = egg:gunicorn#main
bind = 127.0.0.1:0
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The wheel of each distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    source = Path(shutil.copytree(ROOT, folder / "source", ignore=LEFTOVERS))
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder)
    for name in (FULL, CORE):
        succeed(*pip, source, compiled="0", AIOHTTP_WORKER_DISTRIBUTION=name)
    fetched = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder), FOREIGN]
    if subprocess.run(fetched, capture_output=True, timeout=300, check=False).returncode:
        pytest.skip("the package index does not give aiohttp")
    return {path.name.split("-")[0].replace("_", "-"): str(path) for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def dependencies(wheels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the distributions depend on, and none of themselves."""
    folder = tmp_path_factory.mktemp("dependencies")
    succeed(sys.executable, "-m", "pip", "install", "-q", "--target", folder, wheels[CORE])
    succeed(sys.executable, "-m", "pip", "install", "-q", "--target", folder, wheels[FOREIGN])
    for name in ("aiohttp", "aiohttp_worker"):
        for path in folder.glob(f"{name}*"):
            shutil.rmtree(path)
    return folder


Install = Callable[..., "Environment"]


class Environment:
    """A virtual environment in which only the given wheels are installed, one call after the other."""

    def __init__(self, folder: Path, wheels: dict[str, str], dependencies: Path, calls: Sequence[Sequence[str]]) -> None:
        venv.create(folder, with_pip=False)
        self.folder = folder
        self.python = folder / "bin" / "python"
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{dependencies}\n")
        (folder / "serving.py").write_text(APPLICATION)
        (folder / "plain.py").write_text(PLAIN)
        (folder / "demo.ini").write_text(DEMO)
        self.wheels = wheels
        for names in calls:
            self.pip("install", *(wheels[name] for name in names))

    def pip(self, command: str, *words: str) -> None:
        options = ["--no-index", "--no-deps"] if command == "install" else []
        succeed(sys.executable, "-m", "pip", "--python", self.python, command, "-q", *options, *words)

    def run(self, code: str) -> str:
        return succeed(self.python, "-c", code, cwd=self.folder).strip()

    def start(self, *words: str) -> Command:
        return Command(str(self.python), "-m", *words, directory=self.folder, environ={"PYTHONPATH": ""})

    def get(self, worker: str, *paths: str, application: str = "serving:application") -> list[str]:
        """Serve an application by the worker of a name, and return the bodies of some paths."""
        server = self.start("gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "-k", worker, application)
        try:
            return [server.get(path) for path in paths]
        finally:
            assert server.stop() == 0

    def refusal(self, worker: str) -> str:
        """Start an application by the worker of a name, which is refused; return what it said."""
        server = self.start("gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "-k", worker, "plain:application")
        try:
            assert server.wait() == 1
        finally:
            server.stop()
        said = server.log.text()
        assert "Booting worker" not in said
        assert "Traceback" not in said
        return said


@pytest.fixture
def install(wheels: dict[str, str], dependencies: Path, tmp_path: Path) -> Install:
    return lambda *calls: Environment(tmp_path / "environment", wheels, dependencies, calls)


@pytest.mark.parametrize(
    "calls", [[[CORE], [FOREIGN]], [[FOREIGN], [CORE]], [[CORE, FOREIGN]]], ids=["ours first", "ours last", "one call"]
)
def test_core_beside_pypis(install: Install, calls: list[list[str]]) -> None:
    environment = install(*calls)
    expected = ["plain", "theirs: plain", "ours: plain"]
    assert environment.get("aiohttp_worker.AsyncGunicornWorker", "/plain", "/theirs", "/ours") == expected
    if calls[0] != [CORE]:
        return
    assert environment.get("aiohttp_worker.AsyncNoStreamGunicornWorker", "/theirs") == expected[1:2]
    assert environment.get(f"egg:{CORE}#async", "/ours") == expected[2:]
    assert environment.run(NAMES_OF_CORE) == "well"
    server = environment.start("aiohttp_worker", "demo.ini")
    try:
        assert "Hello" in server.get("/hello")
        assert "200,200,200" in server.get(f"/fetch?url={server.url()}/hello")
    finally:
        assert server.stop() == 0


NAMES_OF_CORE = """
import aiohttp, aiohttp_worker.client.errors
from aiohttp_worker import client
from aiohttp_worker.wsgi.generators import Dialect, function_dialect
assert aiohttp.ClientSession and not hasattr(aiohttp, "SocketConnector")
assert client.errors is aiohttp_worker.client.errors and client.TimeoutError is client.errors.TimeoutError
def application(environ, start_response):
    yield from client.request("GET", "http://127.0.0.1/")
assert function_dialect(application) is Dialect.ASYNCHRONOUS
for name in ("ClientSession", "AsyncGunicornWorker"):
    try:
        getattr(client, name)
    except AttributeError as error:
        text = str(error)
        assert text.startswith(f"aiohttp_worker.client has no {name}: "), text
        assert "aiohttp_worker.client.request(" in text or "aiohttp_worker.AsyncGunicornWorker" in text, text
try:
    import aiohttp_worker.client.web
except ModuleNotFoundError as error:
    assert "PyPI's aiohttp is another package" in str(error)
import aiohttp.web
print("well")
"""


@pytest.mark.parametrize(
    "calls", [[[FULL], [FOREIGN]], [[FOREIGN], [FULL]], [[FULL, FOREIGN]]], ids=["ours first", "ours last", "one call"]
)
def test_full_over_pypis(install: Install, calls: list[list[str]]) -> None:
    """One sentence by the old name; by the new one, an application that needs PyPI's is served if nothing of that is broken."""
    environment = install(*calls)
    for name in ("AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"):
        said = environment.refusal(f"aiohttp.worker.{name}")
        assert said.count(OVERLAID) == 1
        assert f"pip uninstall {FOREIGN} {FULL}" in said
        assert f"pip install {CORE} {FOREIGN}" in said
    whole = environment.run("import aiohttp; print(hasattr(aiohttp, 'ClientSession'))") == "True"
    if len(calls) == 2:
        assert whole is (calls[1] == [FOREIGN])
    if not whole:
        assert OVERLAID in environment.refusal("aiohttp_worker.AsyncGunicornWorker")
        assert OVERLAID in environment.refusal(f"egg:{FULL}#async")
        return
    assert environment.get("aiohttp_worker.AsyncGunicornWorker", "/", application="plain:application") == ["plain"]
    assert environment.get(f"egg:{FULL}#async-nostream", "/", application="plain:application") == ["plain"]
    assert environment.run("import aiohttp; print(aiohttp.GunicornWebWorker)") == "None"
    said = environment.run("try:\n import aiohttp_worker.client\nexcept RuntimeError as error:\n print(error)")
    assert said.startswith(OVERLAID)


def test_the_way_out(install: Install) -> None:
    """What the sentence says leaves both whole."""
    environment = install([FOREIGN], [FULL])
    environment.pip("uninstall", "-y", FOREIGN, FULL)
    environment.pip("install", environment.wheels[CORE], environment.wheels[FOREIGN])
    assert environment.get("aiohttp_worker.AsyncGunicornWorker", "/theirs", "/ours") == ["theirs: plain", "ours: plain"]


def test_full_alone_and_with_core(install: Install) -> None:
    environment = install([FULL])
    assert environment.run("import aiohttp; from aiohttp_worker import client; print(client.run is aiohttp.run)") == "True"
    for _ in range(2):
        assert environment.get("aiohttp.worker.AsyncGunicornWorker", "/ours") == ["ours: plain"]
        environment.pip("install", environment.wheels[CORE])
