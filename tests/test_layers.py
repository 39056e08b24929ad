"""The direction of the imports, read from the source and tried in fresh processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The server, lowest layer first: its folders, and the files beside them. A module imports from its own layer and from those
# below; never upwards, never in a circle, annotations included.
LAYERS = [
    {"http1"},
    {"errors", "http2"},
    {"websocket"},
    {"wsgi"},
    {"transport", "django"},
    {"server"},
    {"integration"},
    {"worker"},
    {"client"},
    {"paste", "demo", "testing", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# What no byte of a request passes through may know Gunicorn: the worker, what it takes from Gunicorn, and what starts it.
KNOW_GUNICORN = {"integration", "worker", "paste"}

# Pure files: bytes and values in, bytes and values out.
PURE = {
    "http1",
    "http2",
    "websocket",
    "errors",
    "wsgi.application",
    "wsgi.environ",
    "wsgi.forwarded",
    "wsgi.start_response",
    "wsgi.stream_input",
    "server.proxy_protocol",
}
IMPURE_MODULES = {"asyncio", "gunicorn", "multiprocessing", "selectors", "signal", "socket", "ssl", "threading", "uvloop"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(package: str) -> dict[str, Path]:
    """The modules of a package with their files, subpackages included."""
    return {module_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}


def imports(name: str, path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for annotations alone, as an absolute dotted name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # `from package import module` imports the module.
            yield from {f"{base}.{a.name}" if f"{base}.{a.name}" in KNOWN else base for a in node.names}


SERVER = modules("aiohttp_worker")
CLIENT = modules("aiohttp")
KNOWN = {**SERVER, **CLIENT}


def unit(name: str) -> str:
    """The folder of the server that a module is in, or the file beside the folders; ``""`` for the package itself."""
    return [*name.split("."), ""][1]


def test_every_module_of_the_server_has_a_layer() -> None:
    assert {unit(name) for name in SERVER} - {""} <= RANK.keys()


@pytest.mark.parametrize("name", SERVER)
def test_server_imports_downwards(name: str) -> None:
    if unit(name) == "":
        return  # the package itself offers names of every layer; what importing it loads is tried below
    for imported in imports(name, SERVER[name]):
        if imported.split(".")[0] == "aiohttp_worker" and unit(imported):
            assert unit(imported) in RANK, f"{imported} has no layer"
            assert RANK[unit(imported)] <= RANK[unit(name)], f"{name} imports {imported}"
        elif imported.split(".")[0] == "aiohttp":
            assert unit(name) == "client", f"{name} imports the client"


@pytest.mark.parametrize("name", KNOWN)
def test_the_package_itself_is_for_users(name: str) -> None:
    """Our files take names from where they are defined; only programs take them from the package, as users do."""
    tree = ast.parse(KNOWN[name].read_text(encoding="utf-8"))
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module == "aiohttp_worker" or (node.level and not node.module))
        for alias in node.names
    }
    assert taken <= {"__version__"} or unit(name) in ("demo", "__main__")


@pytest.mark.parametrize("package", ["aiohttp_worker", "aiohttp"])
def test_no_circle(package: str) -> None:
    graph = {
        name: {one for one in imports(name, path) if one in KNOWN and one not in (name, package)}
        for name, path in modules(package).items()
        if name != package
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", [name for name in SERVER if unit(name) == "transport"])
def test_transports_know_no_protocol(name: str) -> None:
    """What moves bytes serves any protocol that has some."""
    ours = {imported for imported in imports(name, SERVER[name]) if imported in KNOWN}
    assert {unit(imported) for imported in ours} <= {"transport"}


@pytest.mark.parametrize("name", SERVER)
def test_who_knows_gunicorn(name: str) -> None:
    if any(imported.split(".")[0] == "gunicorn" for imported in imports(name, SERVER[name])):
        assert unit(name) in KNOW_GUNICORN


@pytest.mark.parametrize("name", [name for name in SERVER if name != "aiohttp_worker.http2.engine"])
def test_one_file_knows_the_engine_of_http2(name: str) -> None:
    assert "ngh2" not in {imported.split(".")[0] for imported in imports(name, SERVER[name])}


@pytest.mark.parametrize("name", [name for name in SERVER if unit(name) in PURE or name.partition(".")[2] in PURE])
def test_pure(name: str) -> None:
    assert not {imported.split(".")[0] for imported in imports(name, SERVER[name])} & IMPURE_MODULES


@pytest.mark.parametrize("name", CLIENT)
def test_client_imports_only_http1(name: str) -> None:
    allowed = ("aiohttp_worker.http1",)
    if name == "aiohttp.worker":
        allowed = ("aiohttp_worker.worker", "aiohttp_worker.integration.distributions", "aiohttp_worker.integration.names")
    for imported in imports(name, CLIENT[name]):
        assert imported.split(".")[0] != "gunicorn"
        if imported.split(".")[0] == "aiohttp_worker" and unit(imported):
            assert any(f"{imported}.".startswith(f"{one}.") for one in allowed), f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in CLIENT if name != "aiohttp"])
def test_only_users_import_the_workers_through_the_client(name: str) -> None:
    assert "aiohttp.worker" not in imports(name, CLIENT[name])


def loaded_by(statements: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after some statements."""
    code = f"{statements}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return set(run.stdout.split())


# Modules that no fast test has to itself, each with its reason.
WITHOUT_A_TEST_FILE = {
    "__main__": "two lines, which the functional tests of the runner start",
    "errors": "names alone",
    "http1.errors": "names alone",
    "http2.errors": "names alone",
    "http2.events": "names alone",
    "http1.response_encoder": "tests/wsgi/test_start_response.py encodes what applications start with",
    "http1.response_side": "tests/http1/test_server_connection.py has every state and event of it",
    "server.stream": "an interface; tests/server/test_exchange.py uses it by a connection",
}


@pytest.mark.parametrize("name", [name for name, path in SERVER.items() if path.name != "__init__.py"])
def test_every_module_has_a_test_file(name: str) -> None:
    """``room/file.py`` is tested by ``tests/room/test_file.py``."""
    *room, file = name.split(".")[1:]
    assert (ROOT / "tests" / Path(*room) / f"test_{file}.py").exists() is (name.partition(".")[2] not in WITHOUT_A_TEST_FILE)


@pytest.mark.slow
def test_importing_the_client_leaves_gunicorn_out() -> None:
    loaded = loaded_by("import aiohttp")
    assert "aiohttp" in loaded
    assert "gunicorn" not in loaded


@pytest.mark.slow
def test_importing_http1_leaves_gunicorn_and_asyncio_out() -> None:
    names = [name for name in SERVER if unit(name) == "http1"]
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert "aiohttp_worker" in loaded
    assert not loaded & {"gunicorn", "asyncio", "socket", "ssl"}


@pytest.mark.slow
def test_importing_the_server_alone_leaves_the_client_out() -> None:
    """A site that has PyPI's aiohttp by mistake must get as far as the sentence that says so."""
    assert "aiohttp" not in loaded_by("import aiohttp_worker.worker")


@pytest.mark.slow
def test_importing_the_server_leaves_out_what_tests_need() -> None:
    assert not loaded_by("import aiohttp_worker.worker, aiohttp") & {"webtest", "pytest"}


@pytest.mark.slow
def test_the_plugin_of_pytest_loads_nothing_else() -> None:
    loaded = loaded_by("import aiohttp_worker.testing.pytest_plugin")
    assert not loaded & {"webtest", "gunicorn", "httptools", "uvloop"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"])
def test_the_workers_have_both_names(name: str) -> None:
    code = f"from aiohttp.worker import {name} as a\nfrom aiohttp_worker.worker import {name} as b\nassert a is b"
    assert "gunicorn" in loaded_by(code)
