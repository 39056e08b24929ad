"""Refused starts: an error that names file and setting, and a server that stays as it was at HUP."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import sys
from pathlib import Path

import pytest

from tests.certificates import Authority, Certificate
from tests.inis import APPLICATION, SERVER, write

from .command import Command, started
from .conftest import Serve
from .observing import command, is_alive, wait_until
from .server import STREAM, Server

HUP = signal.SIGHUP
OPTIONS = ("-k", STREAM, "-b", "127.0.0.1:0", "--no-control-socket")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> list[Certificate]:
    return [authority.issue(name, f"/CN={name}") for name in ("first", "second")]


@pytest.fixture
def pair(certificates: list[Certificate], tmp_path: Path) -> Certificate:
    """Files that are to be replaced."""
    ours = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    put(certificates[0], ours)
    return ours


def put(source: Certificate, there: Certificate) -> None:
    shutil.copy(source.certfile, there.certfile)
    shutil.copy(source.keyfile, there.keyfile)


# At the start


def test_a_wrong_pair(pair: Certificate, certificates: list[Certificate], tmp_path: Path) -> None:
    shutil.copy(certificates[1].keyfile, pair.keyfile)
    done = command(*OPTIONS, "--certfile", "cert.pem", "--keyfile", "key.pem", "facts:application", cwd=tmp_path)
    assert done.returncode == 1
    assert "Error: keyfile = 'key.pem': the key does not belong to the certificate in 'cert.pem'" in done.stderr
    assert "Booting worker" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_pair_of_an_ini(pair: Certificate, tmp_path: Path) -> None:
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    write(tmp_path, SERVER.replace("sync", STREAM) + "certfile = cert.pem\nkeyfile = cert.pem\n")
    for more in ((), ("--check-config",)):
        served = Command(sys.executable, "-m", "aiohttp_worker", "x.ini", *more, directory=tmp_path)
        assert served.wait() == 1
        assert "Error: keyfile = 'cert.pem': the file holds no private key in PEM form" in served.log.text()
        assert "Booting worker" not in served.log.text()


def test_no_connection_at_all(tmp_path: Path) -> None:
    done = command(*OPTIONS, "--worker-connections", "0", "facts:application", cwd=tmp_path)
    assert done.returncode == 1
    assert "Error: worker_connections = 0: " in done.stderr


CHECKED = """
from aiohttp.worker import AsyncGunicornWorker
worker_class = AsyncGunicornWorker
certfile = "cert.pem"
keyfile = {keyfile!r}
"""


@pytest.mark.parametrize(("keyfile", "code"), [("key.pem", 0), ("missing.pem", 1)])
def test_check_config(pair: Certificate, tmp_path: Path, keyfile: str, code: int) -> None:
    """Gunicorn does not load the class that it is given the name of, so this is for the class itself."""
    (tmp_path / "gunicorn.conf.py").write_text(CHECKED.format(keyfile=keyfile))
    done = command("--check-config", "facts:application", cwd=tmp_path)
    assert (done.returncode, "missing.pem" in done.stderr) == (code, bool(code))


# Between boot and the first accept

NO_FILES = """
import resource
def post_worker_init(worker):
    last = max(map(int, __import__("os").listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, last))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_no_descriptor_is_left(tmp_path: Path, loop: str, threads: int) -> None:
    """One sentence, one worker, and the code for a worker that cannot boot."""
    server = Server("facts:application", worker_class=STREAM, directory=tmp_path, loop=loop, threads=threads, extra=NO_FILES)
    server.spawn()
    assert server.wait() == 3
    text = server.log.text()
    assert len(server.log.wait_for("The worker cannot serve: OSError: .*oo many open files")) == 1
    assert text.count("Booting worker") == 1
    assert "Worker failed to boot" in text
    assert "Exception in worker process" not in text


# At HUP


@pytest.fixture
def secure(serve: Serve, pair: Certificate) -> Server:
    server = serve("facts:application", worker_class=STREAM, certfile=str(pair.certfile), keyfile=str(pair.keyfile))
    server.log.wait_for("Booting worker")
    return server


def served_by(server: Server, authority: Authority) -> str:
    """The name in the certificate that a new connection is shown, when it has been answered."""
    context = authority.client_context()
    context.check_hostname = False
    with server.connect(tls=context) as client:
        assert client.get("/hello").status_code == 200
        assert isinstance(client.socket, ssl.SSLSocket)
        subject: str = client.socket.getpeercert()["subject"][0][0][1]  # type: ignore[index]
    return subject


def test_a_pair_that_is_half_written(
    secure: Server, pair: Certificate, authority: Authority, certificates: list[Certificate]
) -> None:
    """The old workers serve on; with both files there, a HUP takes them."""
    (old,) = secure.worker_pids(1)
    assert served_by(secure, authority) == "first"
    shutil.copy(certificates[1].certfile, pair.certfile)
    secure.signal(HUP)
    secure.log.wait_for(
        r"Nothing is reloaded: keyfile = '.*key\.pem': the key does not belong to the certificate in '.*cert\.pem'"
    )
    assert served_by(secure, authority) == "first"
    assert is_alive(old)
    assert len(secure.worker_pids(1)) == 1

    put(certificates[1], pair)
    secure.signal(HUP)
    secure.worker_pids(2)
    wait_until(lambda: not is_alive(old))
    assert served_by(secure, authority) == "second"


def test_a_worker_that_is_replaced_meanwhile(
    secure: Server, pair: Certificate, authority: Authority, certificates: list[Certificate]
) -> None:
    """It serves with what the master has, and says so; a later one takes the new files."""
    shutil.copy(certificates[1].certfile, pair.certfile)
    os.kill(secure.worker_pids(1)[0], signal.SIGKILL)
    secure.log.wait_for("does not belong.*; this worker serves with what the master loaded before")
    assert served_by(secure, authority) == "first"
    put(certificates[1], pair)
    os.kill(secure.worker_pids(2)[1], signal.SIGKILL)
    secure.worker_pids(3)
    assert served_by(secure, authority) == "second"


def test_a_pair_of_an_ini_that_is_half_written(pair: Certificate, certificates: list[Certificate], tmp_path: Path) -> None:
    (tmp_path / "probe_app.py").write_text(APPLICATION)
    write(tmp_path, SERVER.replace("sync", STREAM) + "certfile = cert.pem\nkeyfile = key.pem\n")
    with started(sys.executable, "-m", "aiohttp_worker", "x.ini", directory=tmp_path) as served:
        served.log.wait_for("Booting worker")
        shutil.copy(certificates[1].keyfile, pair.keyfile)
        served.signal(HUP)
        served.log.wait_for("Nothing is reloaded: keyfile = 'key.pem': the key does not belong")
        put(certificates[1], pair)
        served.signal(HUP)
        served.log.wait_for("Booting worker", count=2)


SEALED = """
import os
def ssl_context(conf, factory):
    if os.path.exists({path!r}):
        raise OSError("the vault is sealed")
    return factory()
"""


def test_a_hook_that_fails_later(serve: Serve, pair: Certificate, authority: Authority, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    files = {"certfile": str(pair.certfile), "keyfile": str(pair.keyfile)}
    server = serve("facts:application", worker_class=STREAM, extra=SEALED.format(path=str(sealed)), **files)
    assert served_by(server, authority) == "first"
    sealed.touch()
    server.signal(HUP)
    server.log.wait_for("Nothing is reloaded: ssl_context: the hook raised OSError: the vault is sealed")
    os.kill(server.worker_pids(1)[0], signal.SIGKILL)
    server.worker_pids(2)
    assert served_by(server, authority) == "first"


SETTINGS = "raw_env = ['VALUE={}']\n"


def test_a_configuration_that_is_half_written(serve: Serve, tmp_path: Path) -> None:
    """Nothing of it holds, and what held before does."""
    module = tmp_path / "valued.py"
    module.write_text(
        "import os\ndef application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [os.environ['VALUE'].encode()]\n"
    )
    server = serve("valued:application", worker_class=STREAM, extra=SETTINGS.format("old"), pythonpath=str(tmp_path))
    config = Path(server._directory) / "gunicorn.conf.py"
    text = config.read_text()
    (old,) = server.worker_pids(1)
    broken = {
        "worker_connections = 0\n": "Nothing is reloaded: worker_connections = 0",
        "timeout = 'soon'\n": "Nothing is reloaded: the configuration ended with code 1",
        "def half(:\n": "Nothing is reloaded: the configuration ended with code 1",
    }
    for lines, said in broken.items():
        since = server.log.length
        config.write_text(text.replace("old", "new") + lines)
        server.signal(HUP)
        server.log.wait_for(said, since=since)
        assert server.get("/").body == b"old"
    assert is_alive(old)
    os.kill(old, signal.SIGKILL)  # the next one is started with the old settings, too
    server.worker_pids(2)
    assert server.get("/").body == b"old"

    config.write_text(text.replace("old", "new"))
    server.signal(HUP)
    server.worker_pids(3)
    server.log.wait_for("Worker exiting")
    assert server.get("/").body == b"new"
