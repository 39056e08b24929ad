"""Response side of one stream: heads wait until they are sent, because field compression has an order (RFC 7541 section 2.2)."""

from __future__ import annotations

from collections import deque

from aiohttp_worker.http1.messages import RequestHead
from aiohttp_worker.http1.response_encoder import FieldBlock, HeadEncoder, StatusLine
from aiohttp_worker.http1.response_side import DONE, ResponseSide

from .response_head import FieldEncoder, FieldList, interim_fields

_CONTINUE: FieldList = [(b":status", b"100")]


class StreamResponse(ResponseSide):
    """The response on one stream.

    The bytes that it gives are those of the body alone. What goes before them is taken by :meth:`take_interim` and
    :meth:`take_head` when they are sent; where nothing else is to be sent an empty piece says that there is something to take.

    :param encoder: of the worker, for heads.
    :param fields: of the worker, for the fields of HTTP/2.
    """

    __slots__ = ("_encoder", "_head", "_interim")

    def __init__(self, encoder: HeadEncoder, fields: FieldEncoder, request: RequestHead) -> None:
        super().__init__(encoder)
        self._encoder = fields
        self._head: FieldList | None = None
        self._interim: deque[FieldList] = deque()
        self.expect(request)

    def start(self, status: StatusLine, fields: FieldBlock, length: int | None) -> bytes:
        """Keep the head, and give nothing.

        :param length: of the whole body, where it is known.
        :raises LocalProtocolError: it was given before.
        """
        code = status.code
        self.delimit(code, fields, length)
        self._head = self._encoder.fields(code, fields, self.encoder.defaults_beside(fields), self.announced)
        return b""

    def early_hints(self, headers: object) -> bytes:
        """Keep an interim response 103 (RFC 8297), and give nothing.

        :raises LocalProtocolError: a header must not be sent.
        :raises TypeError: one of them is no pair of strings.
        """
        self._interim.append(interim_fields(super().early_hints(headers)))
        return b""

    def ask_for_body(self) -> bytes:
        """Keep ``100 Continue`` (RFC 9110 section 10.1.1), and give nothing."""
        self._interim.append(_CONTINUE)
        return b""

    def end(self) -> list[bytes]:
        """End the response.

        :raises LocalProtocolError: the head was not given, or the response has ended.
        """
        super().end()
        return [b""]

    # For whoever sends.

    def take_interim(self) -> FieldList | None:
        """Take the next interim response that is to be sent."""
        return self._interim.popleft() if self._interim else None

    def take_head(self) -> FieldList | None:
        """Take the head, once, when it is to be sent."""
        head, self._head = self._head, None
        return head

    def ends_after(self, size: int) -> bool:
        """Say whether the response is complete when *size* bytes of its body are sent."""
        return self.response_state is DONE and size == self.sent and not self.missing
