"""Opening handshake of a WebSocket, of the request as an application sees it (RFC 6455 section 4.2)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from aiohttp_worker.http2.allowance import Allowance

from .messages import MessageProtocol
from .terms import Terms

# What the library says of each connection is no news; what it complains of is returned to the client.
_SILENT: Final = logging.getLogger("aiohttp_worker.websocket")
_SILENT.setLevel(logging.CRITICAL + 1)

# 4 KiB of window in each direction, and 16 KiB for the compressor: with zlib's defaults it would be 32 and 256 KiB a connection.
_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)

_FIELDS: Final = (
    ("Connection", "HTTP_CONNECTION"),
    ("Upgrade", "HTTP_UPGRADE"),
    ("Origin", "HTTP_ORIGIN"),
    ("Sec-WebSocket-Key", "HTTP_SEC_WEBSOCKET_KEY"),
    ("Sec-WebSocket-Version", "HTTP_SEC_WEBSOCKET_VERSION"),
    ("Sec-WebSocket-Protocol", "HTTP_SEC_WEBSOCKET_PROTOCOL"),
    ("Sec-WebSocket-Extensions", "HTTP_SEC_WEBSOCKET_EXTENSIONS"),
)
_VERSION_HEADER: Final = "Sec-WebSocket-Version"


class RefusedHandshakeError(Exception):
    """Refusal of a handshake, with the answer to it.

    :ivar status_code: 400, 403, 405, 426 or 505.
    :ivar headers: fields of the answer besides those of its body.
    """

    def __init__(self, status_code: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers


def accept(environ: Mapping[str, Any], terms: Terms, now: float) -> tuple[MessageProtocol, list[tuple[str, str]]]:
    """Accept a handshake.

    :param now: the time of a monotonic clock, in seconds.
    :return: the protocol of the connection, which is open, and the header fields of the response 101.
    :raises RefusedHandshakeError: the request is no handshake, or one that *terms* do not allow.
    """
    request = Request(
        path=str(environ.get("RAW_URI", "/")),
        headers=Headers([(name, environ[key]) for name, key in _FIELDS if environ.get(key)]),
        method=environ["REQUEST_METHOD"],
        protocol=environ["SERVER_PROTOCOL"],
    )
    protocol = MessageProtocol(
        Allowance(terms.idle_frames, terms.idle_frame_rate, now),
        now,
        state=OPEN,  # from the first byte on it reads frames: the head of the request was read by others
        origins=cast("tuple[Origin | None, ...] | None", terms.origins),
        extensions=[_DEFLATE] if terms.compression else None,
        subprotocols=cast("tuple[Subprotocol, ...]", terms.subprotocols) or None,
        select_subprotocol=_first_of_ours,
        max_size=terms.max_message_size,
        logger=_SILENT,
    )
    response = protocol.accept(request)
    if response.status_code != 101:
        raise _refusal(protocol, response.status_code, environ)
    return protocol, [(name, value) for name, value in response.headers.raw_items() if name != "Date"]


def _first_of_ours(protocol: ServerProtocol, offered: Any) -> Subprotocol | None:
    """Choose the subprotocol that the server likes most; none, and no refusal, if they have none in common (section 4.2.2)."""
    return next((one for one in protocol.available_subprotocols or () if one in offered), None)


def _refusal(protocol: ServerProtocol, status_code: int, environ: Mapping[str, Any]) -> RefusedHandshakeError:
    message = f"this is for WebSocket clients: {protocol.handshake_exc}"
    if status_code == 405:
        return RefusedHandshakeError(405, message, (("Allow", "GET"),))
    if status_code == 426 or environ.get("HTTP_SEC_WEBSOCKET_VERSION", "13") != "13":
        # Section 4.4: a client of another version is told which there is.
        return RefusedHandshakeError(426, message, ((_VERSION_HEADER, "13"),))
    return RefusedHandshakeError(status_code, message)
