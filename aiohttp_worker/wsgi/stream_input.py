"""``stream_input``: the mark of an application that reads the request body while it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

_Application = TypeVar("_Application", bound=Callable[..., Any])
#: Function of a request's environ, as yet without ``wsgi.input``: true if the input has to be a stream.
Choice = Callable[[dict[str, Any]], bool]

_MARK = "_aiohttp_worker_stream_input"


@overload
def stream_input(application: _Application) -> _Application: ...


@overload
def stream_input(*, when: Choice) -> Callable[[_Application], _Application]: ...


def stream_input(application: _Application | None = None, *, when: Choice | None = None) -> Any:
    """Mark a WSGI callable to be called as soon as the request's head has arrived.

    Coroutine functions, and generator functions whose own code streams the
    input, need no mark. Middleware around one of them, or an ordinary function
    that returns a coroutine, hides its kind: mark it, and
    ``environ['wsgi.input']`` is the live stream, to be awaited in the coroutine
    or generator that the callable returns. Other servers ignore the mark.

    :param when: for single endpoints: called with each request's environ, and
        the mark holds where it returns true. Other requests are served as
        without the mark. It is called on the loop and must look at environ
        only: every other request waits for it. An exception is answered with
        500.
    :return: *application* itself, or with *when* a decorator.
    :raises TypeError: *application* or *when* cannot be called.
    """
    if when is not None and not callable(when):
        raise TypeError(f"stream_input: when must be a callable that takes environ, not {when!r}")

    def mark(marked: _Application) -> _Application:
        if not callable(marked):
            raise TypeError(f"stream_input marks a WSGI callable, not {marked!r}")
        setattr(marked, _MARK, when or True)
        return marked

    return mark if application is None else mark(application)


def stream_choice(application: object) -> Choice | bool:
    """Return the mark of *application*: false, the choice for single requests, or true.

    :param application: any callable.
    """
    choice: Choice | bool = getattr(application, _MARK, False)
    return choice
