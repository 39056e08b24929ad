"""Settings of the server: time limits, overload limits, sizes, and callbacks into Gunicorn."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp_worker.http1.messages import Limits
from aiohttp_worker.http2.settings import HTTP2Settings
from aiohttp_worker.wsgi.forwarded import AddressList, ForwardingPolicy

from .proxy_protocol import ProxyProtocol


@dataclass(frozen=True)
class TimeLimits:
    """Seconds after which a connection is ended; 0 for no limit.

    :ivar head: from the first byte of a request's head to its last.
    :ivar body: between two pieces of a request's body.
    :ivar write: without the client reading anything of an answer.
    :ivar keep_alive: between two requests.
    :ivar linger: for a client to read the last answer, while what it still sends is thrown away (RFC 9112 section 9.6).
    :ivar disconnect_grace: from a client's leaving to the cancellation of the task that answers it.
    :ivar body_rate: bytes per second that a request's body has to arrive with on average.
    """

    head: float = 20.0
    body: float = 30.0
    write: float = 60.0
    keep_alive: float = 2.0
    linger: float = 2.0
    disconnect_grace: float = 3.0
    body_rate: int = 500


@dataclass(frozen=True)
class OverloadLimits:
    """Seconds after which a connection is ended while all are in use and others wait for one.

    :ivar idle: between two requests, when nothing is on its way.
    :ivar head: from the first byte of a head to its last; longer than a lost packet takes to be sent again.
    :ivar body: of a body that is collected, in addition to the time that `body_rate` allows.
    :ivar body_rate: bytes per second.
    :ivar unread: without the client reading anything of an answer.
    """

    idle: float = 1.0
    head: float = 3.0
    body: float = 3.0
    body_rate: int = 10_000
    unread: float = 5.0


class Cleartext(enum.Enum):
    """Ways for HTTP/2 to begin without TLS, with peers that are trusted as front ends are; Gunicorn's ``http2_cleartext``."""

    OFF = "off"
    PRIOR_KNOWLEDGE = "prior-knowledge"
    UPGRADE = "upgrade"
    BOTH = "both"


@dataclass(frozen=True)
class ServerSettings:
    """Everything that is configured, read once and typed.

    :ivar stream: whether ``wsgi.input`` may be a stream.
    :ivar threads: threads that run an ordinary application; 1 runs it in the loop's thread.
    :ivar body_memory_size: bytes of a collected body that stay in memory; longer ones go to a file.
    :ivar body_directory: for temporary files; ``None`` for the system's.
    :ivar max_body_size: bytes; 0 for no limit.
    :ivar slow_call: seconds of one call in the loop's thread after which it is logged; 0 for never.
    :ivar sendfile: whether the kernel may send files by itself.
    :ivar server: the value of the ``Server`` field.
    :ivar http2: ``None`` if HTTP/2 is not spoken.
    :ivar http2_cleartext: how HTTP/2 may begin without TLS.
    """

    limits: Limits = field(default_factory=Limits)
    times: TimeLimits = field(default_factory=TimeLimits)
    forwarding: ForwardingPolicy = field(default_factory=ForwardingPolicy)
    proxy_protocol: ProxyProtocol | None = None
    proxy_allowed: AddressList = field(default_factory=AddressList)
    stream: bool = True
    threads: int = 1
    body_memory_size: int = 1024 * 1024
    body_directory: str | None = None
    max_body_size: int = 0
    slow_call: float = 0.1
    sendfile: bool = True
    server: str = "aiohttp-worker"
    http2: HTTP2Settings | None = None
    http2_cleartext: Cleartext = Cleartext.OFF


@dataclass
class Observers:
    """Callbacks into Gunicorn: logging and hooks. ``None`` disables one.

    Exchanges and connections are typed ``Any``: their classes are above, and import this.

    :ivar pre_request: called with the exchange, before the application.
    :ivar post_request: called with the exchange, after the application's ``close()``.
    :ivar on_end: called with the exchange when it is over, for the access log.
    :ivar on_refused: called with the connection and the error, when a request was answered without the application.
    :ivar exiting: True if a signal has asked this process to exit, so that ``SystemExit`` is no fault of the application.
    """

    log_error: Callable[..., None]
    log_warning: Callable[..., None]
    log_debug: Callable[..., None]
    log_exception: Callable[[BaseException, str], None]
    pre_request: Callable[[Any], None] | None = None
    post_request: Callable[[Any], None] | None = None
    on_end: Callable[[Any], None] | None = None
    on_refused: Callable[[Any, Any], None] | None = None
    exiting: Callable[[], bool] = lambda: False
