"""Access log lines and records: those that Gunicorn's own logger makes, whatever handles them."""

from __future__ import annotations

import base64
import io
import json
import logging
import logging.handlers
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.instrument.statsd import Statsd

from aiohttp_worker.integration.access_log import AccessLogWriter, access_log_writer

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": '/a?b="1"',
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "PATH_INFO": "/a",
    "QUERY_STRING": 'b="1"',
    "HTTP_USER_AGENT": 'curl/8 "quoted"',
    "wsgi.url_scheme": "http",
    "myApp.Key": 'mixed "case"',
    "number": 42,
}
REQUEST_HEADERS = [("HOST", "here"), ("X-Twice", "one"), ("X-TWICE", 'two "2"')]
RESPONSE_HEADERS = [("Content-Type", "text/plain"), ("ETag", '"abc"'), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
ARGUMENTS = ("200 OK", 1234, RESPONSE_HEADERS, REQUEST_HEADERS, ENVIRON, 1.002003)


@pytest.fixture
def gunicorn_logging() -> Iterator[None]:
    """Gunicorn's two loggers as a fresh process has them, before and after."""

    def clear() -> None:
        for name in ("gunicorn.access", "gunicorn.error"):
            logger = logging.getLogger(name)
            for handler in list(logger.handlers):
                logger.removeHandler(handler)
                handler.close()
            logger.filters.clear()
            logger.disabled = False
            logger.propagate = True
            logger.setLevel(logging.NOTSET)

    clear()
    yield
    clear()


MakeLog = Callable[..., Logger]


@pytest.fixture
def make_log(tmp_path: Path, gunicorn_logging: None) -> MakeLog:
    def make(logger_class: type[Logger] = Logger, **settings: Any) -> Logger:
        cfg = Config()
        for name, value in {"accesslog": str(tmp_path / "access.log"), **settings}.items():
            cfg.set(name, value)
        return logger_class(cfg)

    return make


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: (tmp_path / "access.log").read_text().split("\n")[:-1]


def writer_of(log: Logger) -> AccessLogWriter:
    writer = access_log_writer(log, log.cfg.access_log_format)
    assert writer is not None
    return writer


def gunicorn_writes(log: Logger, arguments: tuple[Any, ...]) -> None:
    status, sent, response_headers, request_headers, environ, seconds = arguments
    response = SimpleNamespace(status=status, sent=sent, headers=response_headers)
    request = SimpleNamespace(headers=request_headers)
    log.access(response, request, environ, timedelta(seconds=seconds))


FORMATS = [
    "%(h)s %(l)s %(u)s",
    "%(r)s",
    "%(s)s",
    "%(m)s %(U)s %(q)s %(H)s",
    "%(b)s %(B)s %(B)d",
    "%(f)s|%(a)s",
    "%(T)s %(D)s %(M)s %(L)s",
    "%(T)05d %(D)12d %(M)x %(L)10s %(L).3s",
    "%(p)s",
    "%({host}i)s %({Host}i)s %({x-twice}i)s %({absent}i)s",
    "%({content-type}o)s %({ETag}o)s %({set-cookie}o)s %({absent}o)s",
    "%({request_method}e)s %({REMOTE_ADDR}e)s %({wsgi.url_scheme}e)s %({myapp.key}e)s %({NUMBER}e)s %({absent}e)s",
    "%({host}I)s %({etag}O)s %({number}E)s",
    "%({host}x)s %({}i)s %({)s %(})s",
    "%(unknown)s %(R)s %(hh)s %()s",
    "%% %(h)s %% 100%%",
    "%(h)20s|%(h)-20s|%(s)5s|%(unknown)5s|%(p)20s",
    "nothing at all",
    "%(h)r %(s)r",
]


@pytest.mark.parametrize("access_log_format", FORMATS)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "404 Not Found"},
        {"status": "299"},
        {"sent": 0},
        {"seconds": 0.0},
        {"seconds": 0.0000005},
        {"seconds": 59.9999999},
        {"seconds": 3600.25},
        {"request_headers": [], "response_headers": []},
        {"environ": {**ENVIRON, "HTTP_REFERER": "http://a/", "REMOTE_ADDR": ""}},
        {"environ": {**ENVIRON, "PATH_INFO": "/caf\xc3\xa9\u2028"}},
        {"environ": {"REQUEST_METHOD": "G", "RAW_URI": "/", "SERVER_PROTOCOL": "HTTP/1.0"}},
    ],
    ids=lambda change: next(iter(change), "plain"),
)
def test_the_line_is_gunicorns(
    make_log: MakeLog, lines: Callable[[], list[str]], access_log_format: str, change: dict[str, Any]
) -> None:
    log = make_log(access_log_format=access_log_format)
    names = ("status", "sent", "response_headers", "request_headers", "environ", "seconds")
    arguments = {**dict(zip(names, ARGUMENTS, strict=True)), **change}
    writer_of(log)(*arguments.values())
    gunicorn_writes(log, tuple(arguments.values()))
    ours, theirs = lines()
    assert ours == theirs


@pytest.mark.parametrize(
    ("authorization", "user"),
    [
        ("Basic " + base64.b64encode(b"alice:secret").decode(), "alice"),
        ("basic " + base64.b64encode(b"alice").decode(), "alice"),
        ("BASIC  " + base64.b64encode(b'al"ice:x:y').decode(), 'al\\"ice'),
        ("Basic " + base64.b64encode(b":secret").decode(), "-"),
        ("Basic " + base64.b64encode("zo\xeb:s".encode("latin-1")).decode(), "-"),
        ("Basic " + base64.b64encode("zo\xeb:s".encode()).decode(), "zo\xeb"),
        ("Basic ====", "-"),
        ("Basic a", "-"),
        ("Basic", "-"),
        ("Bearer abc", "-"),
        ("", "-"),
    ],
)
def test_user(make_log: MakeLog, lines: Callable[[], list[str]], authorization: str, user: str) -> None:
    log = make_log(access_log_format="%(u)s")
    arguments = (*ARGUMENTS[:4], {**ENVIRON, "HTTP_AUTHORIZATION": authorization}, 0.1)
    writer_of(log)(*arguments)
    gunicorn_writes(log, arguments)
    assert lines() == [user, user]


def test_time_of_day(make_log: MakeLog, lines: Callable[[], list[str]]) -> None:
    before = int(time.time())
    writer_of(make_log(access_log_format="%(t)s"))(*ARGUMENTS)
    after = int(time.time())
    (line,) = lines()
    moment = time.mktime(time.strptime(line[:-7], "[%d/%b/%Y:%H:%M:%S"))
    assert before <= moment <= after
    assert line == time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(moment))


def test_default_format(make_log: MakeLog, lines: Callable[[], list[str]]) -> None:
    log = make_log()
    assert log.cfg.access_log_format == DEFAULT
    writer_of(log)(*ARGUMENTS)
    assert lines()[0].endswith('] "GET /a?b=\\"1\\" HTTP/1.1" 200 1234 "-" "curl/8 \\"quoted\\""')


@pytest.mark.parametrize("access_log_format", ["%", "100%", "%(h)", "%(h", "%s", "%(a(b)c)s", "%(h)*d", "%(x)d", "%(p)d"])
def test_odd_formats(
    make_log: MakeLog, lines: Callable[[], list[str]], access_log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be formatted is an error of the logging package, on standard error."""
    log = make_log(access_log_format=access_log_format)
    gunicorn_writes(log, ARGUMENTS)
    theirs = lines(), "Logging error" in capsys.readouterr().err
    writer_of(log)(*ARGUMENTS)
    written, failed = lines(), "Logging error" in capsys.readouterr().err
    assert failed is theirs[1]
    assert access_log_format == "%s" or written == theirs[0] * 2  # the text of all atoms has the time


def test_an_atom_that_does_not_fit_is_gunicorns_to_report(
    make_log: MakeLog, lines: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    writer_of(make_log(access_log_format="%(h)d"))(*ARGUMENTS)
    assert lines() == []
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {"accesslog": None},
        {"accesslog": None, "syslog": True, "disable_redirect_access_to_syslog": True, "syslog_addr": "udp://127.0.0.1:1"},
    ],
)
def test_nobody_listens(make_log: MakeLog, settings: dict[str, Any]) -> None:
    log = make_log(**settings)
    assert access_log_writer(log, log.cfg.access_log_format) is None


def test_nobody_listens_though_the_setting_says_so(make_log: MakeLog) -> None:
    """As when an ini has [loggers] and no access logger in it."""
    config = {"loggers": {}, "root": {"level": "INFO", "handlers": []}, "disable_existing_loggers": False}
    log = make_log(accesslog=None, logconfig_dict=config)
    assert log.access_log_enabled
    assert access_log_writer(log, log.cfg.access_log_format) is None


@pytest.mark.parametrize(
    "silence",
    [
        lambda logger: logger.setLevel(logging.WARNING),
        lambda logger: logger.handlers[0].setLevel(logging.WARNING),
        lambda logger: setattr(logger, "disabled", True),
        lambda logger: logger.handlers.__setitem__(0, logging.NullHandler()),
    ],
)
def test_nobody_listens_to_this_level(make_log: MakeLog, silence: Callable[[logging.Logger], None]) -> None:
    log = make_log()
    handler = log.access_log.handlers[0]
    silence(log.access_log)
    assert access_log_writer(log, log.cfg.access_log_format) is None
    handler.close()


class Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_a_line_as_a_record(make_log: MakeLog) -> None:
    log = make_log()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(process)d %(message)s"))
    log.access_log.addHandler(handler)
    log.access_log.handlers.pop(0).close()
    log.cfg.set("access_log_format", "%(s)s 100%%")
    writer_of(log)(*ARGUMENTS)
    gunicorn_writes(log, ARGUMENTS)
    ours, theirs = stream.getvalue().splitlines()
    assert ours == theirs == f"gunicorn.access INFO {os.getpid()} 200 100%"


@pytest.mark.parametrize(
    "look",
    [
        dict,
        lambda args: {**args},
        lambda args: dict(args.items()),
        lambda args: dict(zip(args.keys(), args.values(), strict=True)),
        lambda args: args.copy(),
        lambda args: {name: args[name] for name in args},
        lambda args: json.loads(json.dumps(args, default=str)),
        lambda args: (len(args), "h" in args, "{host}i" in args, "x" in args, args.get("h"), args.get("x", "?")),
    ],
)
def test_atoms_as_a_dict(make_log: MakeLog, look: Callable[[Any], Any]) -> None:
    """Who looks at all of them finds what Gunicorn's own dict has."""
    log = make_log()
    handler = Collected()
    log.access_log.addHandler(handler)
    writer_of(log)(*ARGUMENTS)
    gunicorn_writes(log, ARGUMENTS)
    ours, theirs = [look(record.args) for record in handler.records]
    if isinstance(ours, dict):
        assert abs(time.mktime(time.strptime(ours.pop("t")[1:-7], "%d/%b/%Y:%H:%M:%S")) - time.time()) < 60
        theirs.pop("t")
    assert ours == theirs


def test_records_are_those_of_gunicorn(make_log: MakeLog) -> None:
    log = make_log()
    handler = Collected()
    log.access_log.addHandler(handler)
    writer_of(log)(*ARGUMENTS)
    gunicorn_writes(log, ARGUMENTS)
    ours, theirs = handler.records
    for name in ("name", "levelno", "msg", "pathname", "module", "funcName", "process", "thread"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("missing", ["REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL"])
def test_environ_without_the_request_line(make_log: MakeLog, missing: str) -> None:
    """Is told to the caller, who knows the request line."""
    log = make_log()
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    with pytest.raises(KeyError, match=missing):
        writer_of(log)(*ARGUMENTS[:4], environ, 0.1)


def test_a_filter_that_fails(make_log: MakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    log = make_log(errorlog="-")
    log.access_log.addFilter(lambda record: 1 // 0)
    writer_of(log)(*ARGUMENTS)
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda logger, handler: logger.addHandler(handler),
        lambda logger, handler: logger.handlers.__setitem__(0, handler),
        lambda logger, handler: setattr(logger, "handlers", [handler]),
        lambda logger, handler: (logger.parent.addHandler(handler), setattr(logger, "propagate", True)),  # type: ignore[func-returns-value]
    ],
)
def test_a_later_listener_is_heard(make_log: MakeLog, change: Callable[..., None]) -> None:
    log = make_log()
    own = log.access_log.handlers[0]
    writer = writer_of(log)
    writer(*ARGUMENTS)
    late = Collected()
    change(log.access_log, late)
    try:
        writer(*ARGUMENTS)
        assert len(late.records) == 1
        assert isinstance(late.records[0].args, dict)
        assert late.records[0].args["s"] == "200"
    finally:
        logging.getLogger("gunicorn").removeHandler(late)
        logging.getLogger().removeHandler(late)
        own.close()


def test_a_later_filter_is_heard(make_log: MakeLog, lines: Callable[[], list[str]]) -> None:
    log = make_log(access_log_format="%(U)s")
    writer = writer_of(log)
    log.access_log.addFilter(lambda record: record.args["U"] != "/health")
    writer(*ARGUMENTS)
    writer(*ARGUMENTS[:4], {**ENVIRON, "PATH_INFO": "/health"}, 0.1)
    assert lines() == ["/a"]


def test_a_later_level_is_heard(make_log: MakeLog, lines: Callable[[], list[str]]) -> None:
    log = make_log(access_log_format="%(U)s")
    writer = writer_of(log)
    log.access_log.setLevel(logging.ERROR)
    writer(*ARGUMENTS)
    assert lines() == []
    log.access_log.setLevel(logging.INFO)
    writer(*ARGUMENTS)
    writer(*ARGUMENTS)
    assert lines() == ["/a", "/a"]


def test_files_reopened(make_log: MakeLog, lines: Callable[[], list[str]], tmp_path: Path) -> None:
    log = make_log(access_log_format="%(U)s")
    writer = writer_of(log)
    writer(*ARGUMENTS)
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    log.reopen_files()
    writer(*ARGUMENTS)
    assert lines() == ["/a"]
    assert (tmp_path / "access.log.1").read_text() == "/a\n"


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("disk full")


def test_a_stream_that_fails_does_not_fail_the_response(make_log: MakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    log = make_log()
    log.access_log.handlers[0].stream.close()
    log.access_log.handlers[0].stream = Broken()
    writer_of(log)(*ARGUMENTS)
    assert "disk full" in capsys.readouterr().err


class Counting(Logger):  # type: ignore[misc]
    """A logger_class of somebody's own."""

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.seen: list[tuple[Any, ...]] = []

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        self.seen.append((resp, req, environ, request_time))


def test_a_logger_of_ones_own_is_always_called(make_log: MakeLog) -> None:
    log = make_log(Counting, accesslog=None)
    assert isinstance(log, Counting)
    writer_of(log)(*ARGUMENTS)
    ((response, request, environ, request_time),) = log.seen
    assert (response.status, response.status_code, response.sent) == ("200 OK", 200, 1234)
    assert response.headers is RESPONSE_HEADERS
    assert (request.method, request.uri, request.path, request.query) == ("GET", '/a?b="1"', "/a", 'b="1"')
    assert request.headers == [("HOST", "here"), ("X-TWICE", "one"), ("X-TWICE", 'two "2"')]
    assert request.scheme == "http"
    assert environ is ENVIRON
    assert request_time == timedelta(seconds=1, microseconds=2003)


class MoreAtoms(Logger):  # type: ignore[misc]
    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> dict[str, Any]:
        return {**super().atoms(resp, req, environ, request_time), "zone": "north"}


class OtherClock(Logger):  # type: ignore[misc]
    def now(self) -> str:
        return "[noon]"


@pytest.mark.parametrize(
    ("logger_class", "access_log_format", "line"),
    [(MoreAtoms, "%(zone)s %(s)s", "north 200"), (OtherClock, "%(t)s", "[noon]")],
)
def test_a_subclass_that_changes_a_part(
    make_log: MakeLog,
    lines: Callable[[], list[str]],
    logger_class: type[Logger],
    access_log_format: str,
    line: str,
) -> None:
    writer_of(make_log(logger_class, access_log_format=access_log_format))(*ARGUMENTS)
    assert lines() == [line]


def test_a_method_replaced_on_the_object(make_log: MakeLog) -> None:
    log = make_log()
    seen: list[object] = []
    log.access = lambda *arguments: seen.append(arguments)
    writer_of(log)(*ARGUMENTS)
    assert len(seen) == 1


def test_statsd_measures_every_response(make_log: MakeLog) -> None:
    log = make_log(Statsd, accesslog=None, statsd_host="127.0.0.1:1")
    sent: list[bytes] = []
    log.sock.close()
    log.sock = SimpleNamespace(send=sent.append)
    writer_of(log)(*ARGUMENTS)
    assert sent == [
        b"gunicorn.request.duration:1002.003|ms",
        b"gunicorn.requests:1|c|@1.0",
        b"gunicorn.request.status.200:1|c|@1.0",
    ]


class Curious(Logger):  # type: ignore[misc]
    """Looks at what Gunicorn's requests and responses have."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        self.seen = (
            *(resp.status, resp.status_code, resp.sent, resp.response_length, resp.headers_sent, list(resp.headers)),
            *(req.method, req.uri, req.path, req.query, req.fragment, req.version, req.scheme, list(req.trailers)),
            *(req.remote_addr, req.peer_addr, req.body, list(req.headers)),
        )


def test_a_logger_of_ones_own_is_shown_what_gunicorn_has(make_log: MakeLog) -> None:
    log = make_log(Curious)
    environ = {**ENVIRON, "REMOTE_PORT": "5", "wsgi.input": "the input"}
    headers = [("Content-Length", "7")]
    writer_of(log)("200 OK", 7, headers, [("Host", "a")], environ, 0.5)
    assert log.seen == (
        *("200 OK", 200, 7, 7, True, headers),
        *("GET", '/a?b="1"', "/a", 'b="1"', "", (1, 1), "http", []),
        *(("127.0.0.1", 5), ("127.0.0.1", 5), "the input", [("HOST", "a")]),
    )
    refused = {"REMOTE_ADDR": "", "REQUEST_METHOD": "-", "RAW_URI": "-", "SERVER_PROTOCOL": "-"}
    writer_of(log)("400", 0, [], [], refused, 0.0)
    assert log.seen[:5] == ("400", 400, 0, None, True)
    assert (log.seen[11], log.seen[14]) == ((), "")
