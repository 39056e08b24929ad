"""Choice and call of an application's ``close()``."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from aiohttp_worker.server.closing import application_close, close_application
from tests.loops import LOOPS, new_loop


def new_function() -> Callable[..., list[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    return application


class Closing:
    """An application that is an object."""

    def __init__(self) -> None:
        self.closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return []

    def close(self) -> None:
        self.closed += 1


class Body(Closing):
    """An application whose objects are the bodies of responses."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class Lazy:
    """Stands for another object, which is not there."""

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            raise RuntimeError("not bound")
        raise AttributeError(name)


class WithOptions(Closing):
    def close(self, how: str = "soon", *more: str, **options: str) -> None:
        self.closed += 1


class PerConnection(Closing):
    def close(self, connection: Any) -> None:  # type: ignore[override]
        self.closed += 1


class Flag(Closing):
    close = True  # type: ignore[assignment]


@pytest.mark.parametrize("make", [Closing, WithOptions])
def test_what_is_meant(make: type[Closing]) -> None:
    application = make()
    close = application_close(application)
    assert close is not None
    close()
    assert application.closed == 1


@pytest.mark.parametrize(
    "application",
    [
        new_function(),
        Closing,
        Body,
        Body(),
        PerConnection(),
        Flag(),
        Lazy(),
        functools.partial(new_function()),
        Closing().__call__,
        None,
    ],
)
def test_what_is_not_meant(application: Any) -> None:
    """A class would have it called without an object; a body has it called after each request."""
    assert application_close(application) is None


def test_a_function_can_be_given_one() -> None:
    application: Any = new_function()
    application.close = lambda: None
    assert application_close(application) is application.close


# Without the future import, Python 3.14 and later evaluate annotations for whoever asks.
ANNOTATED = """
class Application(Closing):
    def close(self, how: {annotation} = None) -> {annotation}:
        self.closed += 1
"""


def test_annotations_are_not_evaluated() -> None:
    """They may name what only a type checker imports."""
    names: dict[str, Any] = {"Closing": Closing}
    source = ANNOTATED.format(annotation="OnlyForTheTypeChecker" if sys.version_info >= (3, 14) else "object")
    exec(compile(source, "annotated.py", "exec", dont_inherit=True), names)
    application = names["Application"]()
    close = application_close(application)
    assert close is not None
    close()
    assert application.closed == 1


def test_of_an_iterated_class_nothing_is_called() -> None:
    called: list[str] = []

    class Application:
        @staticmethod
        def close() -> None:
            called.append("close")

    assert application_close(Application) is None
    assert called == []


@pytest.mark.filterwarnings("ignore")  # what frameworks use is theirs
@pytest.mark.parametrize("name", ["flask", "django", "pyramid", "falcon", "bottle", "webob"])
def test_frameworks(name: str) -> None:
    """Only one has a close, and it means the same."""
    module = pytest.importorskip(name)
    if name == "bottle":
        closed: list[str] = []

        class Plugin:
            api = 2

            def apply(self, callback: Any, route: Any) -> Any:
                return callback

            def close(self) -> None:
                closed.append("plugin")

        application = module.Bottle()
        application.install(Plugin())
        close = application_close(application)
        assert close is not None
        close()
        assert closed == ["plugin"]
        return
    if name == "flask":
        application = module.Flask("one")
    elif name == "django":
        from django.core.handlers.wsgi import WSGIHandler

        application = WSGIHandler.__new__(WSGIHandler)
    elif name == "pyramid":
        from pyramid.config import Configurator

        application = Configurator().make_wsgi_app()
    elif name == "falcon":
        application = module.App()
    else:
        application = module.Response()  # it is an application, and can be iterated
    assert application_close(application) is None


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    one = new_loop(str(request.param))
    yield one
    one.close()


async def coroutine(said: list[str]) -> None:
    await asyncio.sleep(0)
    said.append("coroutine")


def generator(said: list[str]) -> Generator[Any, Any, None]:
    yield from asyncio.get_running_loop().run_in_executor(None, said.append, "generator")


def plain(said: list[str]) -> None:
    assert asyncio.get_running_loop()
    said.append("plain")


@pytest.mark.parametrize("close", [coroutine, generator, plain])
def test_every_spelling(loop: asyncio.AbstractEventLoop, close: Callable[[list[str]], Any]) -> None:
    said: list[str] = []
    loop.run_until_complete(close_application(lambda: close(said), 10))
    assert said == [close.__name__]


@pytest.mark.parametrize("error", [ValueError("planned"), SystemExit(3)])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_is_raised(loop: asyncio.AbstractEventLoop, error: BaseException, asynchronous: bool) -> None:
    """One that would end the loop as another one."""

    def close() -> None:
        raise error

    async def closing() -> None:
        raise error

    with pytest.raises((ValueError, RuntimeError)) as caught:
        loop.run_until_complete(close_application(closing if asynchronous else close, 10))
    assert error in (caught.value, caught.value.__cause__)


@pytest.mark.parametrize("stubborn", [False, True])
def test_one_that_takes_too_long_is_cancelled(loop: asyncio.AbstractEventLoop, stubborn: bool) -> None:
    said: list[str] = []
    released = asyncio.Event()

    async def close() -> None:
        while True:
            try:
                await released.wait()
                return
            except asyncio.CancelledError:
                said.append("cancelled")
                if not stubborn:
                    raise

    with pytest.raises(TimeoutError, match=r"more than 0\.0 s, and was cancelled"):
        loop.run_until_complete(close_application(close, 0.01))
    assert said == ["cancelled"]
    released.set()
    loop.run_until_complete(asyncio.sleep(0.01))
