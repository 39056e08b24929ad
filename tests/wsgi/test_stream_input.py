"""``stream_input``: the mark of applications that read the request body while it arrives."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from aiohttp_worker import stream_input
from aiohttp_worker.wsgi.stream_input import stream_choice


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


def test_unmarked_application() -> None:
    assert stream_choice(application) is False


def test_mark_for_all_requests() -> None:
    marked = functools.partial(application)
    assert stream_input(marked) is marked
    assert stream_choice(marked) is True


def test_mark_for_some_requests() -> None:
    def when(environ: dict[str, Any]) -> bool:
        return True

    marked = functools.partial(application)
    assert stream_input(when=when)(marked) is marked
    assert stream_choice(marked) is when


@pytest.mark.parametrize("when", ["/upload", True, ["/upload"]])
def test_when_that_is_no_callable(when: Any) -> None:
    with pytest.raises(TypeError, match="when must be a callable that takes environ, not"):
        stream_input(when=when)


def test_mark_on_no_callable() -> None:
    with pytest.raises(TypeError, match="marks a WSGI callable, not 'upload'"):
        stream_input("upload")  # type: ignore[type-var]
