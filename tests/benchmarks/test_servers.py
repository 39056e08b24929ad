"""Command lines, and who takes part in what."""

from pathlib import Path

import pytest

from benchmarks.environment import Environment, read_requirements
from benchmarks.options import parse
from benchmarks.servers import OURS, SERVERS, Deployment, Server, find
from benchmarks.workloads import WORKLOADS


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    forms = {"compiled": tmp_path / "compiled", "plain": tmp_path / "plain"}
    return Environment(tmp_path / "bin" / "python", forms, tmp_path / "certificate", tmp_path / "key", tmp_path)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_every_server_is_told_application_and_port(server, environment) -> None:  # type: ignore[no-untyped-def]
    line = server.command(Deployment("wsgi:hello", 4321), environment)
    assert server.name == "nginx" or "wsgi:hello" in line
    text = (environment.folder / "nginx-4321" / "nginx.conf").read_text() if server.name == "nginx" else " ".join(line)
    assert "127.0.0.1:4321" in text or "4321" in line


def test_ours_are_those_that_have_a_form() -> None:
    assert {server.name for server in SERVERS if server.is_ours} == set(OURS)


def test_each_form_is_imported_from_its_own_folder(environment: Environment) -> None:
    assert environment.variables("plain")["PYTHONPATH"].startswith(str(environment.forms["plain"]))
    assert "plain" not in environment.variables("")["PYTHONPATH"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError):
        find(["no-such-server"])
    with pytest.raises(SystemExit):
        parse(["--servers", "no-such-server"])


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_workload_has_ours_and_a_peer(workload) -> None:  # type: ignore[no-untyped-def]
    names = {server.name for server in SERVERS if workload.interface(server)}
    assert "aiohttp-worker" in names
    assert names.difference(OURS)


def test_asgi_servers_take_part_where_there_is_such_an_application() -> None:
    coroutine, hello = (next(known for known in WORKLOADS if known.name == name) for name in ("coroutine", "hello"))
    (uvicorn,) = find(["uvicorn"])
    assert (coroutine.interface(uvicorn), hello.interface(uvicorn)) == ("asgi", None)


def test_http2_is_measured_against_peers_that_speak_it() -> None:
    for workload in WORKLOADS:
        names = {server.name for server in SERVERS if workload.interface(server)}
        if workload.http2:
            assert names == {"aiohttp-worker", "gthread", "granian", "hypercorn"}


@pytest.mark.parametrize("server", [server for server in SERVERS if "http2" in server.features], ids=lambda server: server.name)
def test_http2_is_offered_where_it_is_measured_and_nowhere_else(server: Server, environment: Environment) -> None:
    def line(http2: bool) -> list[str]:
        deployment = Deployment("wsgi:hello", 4321, server.interfaces[0], tls=True, http2=http2)
        return server.command(deployment, environment)

    assert str(environment.certificate) in line(True)
    assert server.name == "hypercorn" or line(True) != line(False)  # Hypercorn always offers it


def test_real_workloads_come_first() -> None:
    assert [workload.name for workload in WORKLOADS[:2]] == ["vary", "mixed"]


def test_every_peer_is_pinned() -> None:
    requirements = read_requirements((Path(__file__).parents[2] / "benchmarks" / "requirements.txt").read_text())
    assert requirements
    assert all("==" in requirement for requirement in requirements)


def test_parts_and_checks_are_known_names() -> None:
    assert parse([]).parts == ["speed", "layers", "scale"]
    assert parse(["robustness", "--checks", "heads,loris"]).checks == ["heads", "loris"]
    with pytest.raises(SystemExit):
        parse(["sped"])
