"""Names that are not here: whose aiohttp this is, and what to use instead.

PyPI has another package of the same name, and much code and many tutorials are written for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Final

__all__ = ["explain_missing", "missing_name", "refuse_missing_modules"]

# "aiohttp", or "aiohttp_worker.client", where the same files are installed without the package aiohttp.
_PACKAGE: Final = __name__.rpartition(".")[0]
_WORKERS: Final = ("AsyncGunicornWorker", "AsyncNoStreamGunicornWorker")
_WHOSE: Final = (
    f"this {_PACKAGE} comes with aiohttp-worker; PyPI's aiohttp is another package, and lies beside aiohttp-worker-core"
)
_REQUEST: Final = "await aiohttp.request(method, url, ...) makes a request"
_SERVER: Final = "applications here are WSGI ones, served by Gunicorn with -k aiohttp.worker.AsyncGunicornWorker"
_OS_ERRORS: Final = "aiohttp.OsConnectionError and aiohttp.ClientConnectionError, both aiohttp.ConnectionError"
_INSTEAD: Final = {
    "ClientSession": f"{_REQUEST}, and connector=aiohttp.SocketConnector(), given to several, keeps connections",
    "Session": f"{_REQUEST}, and connector=aiohttp.SocketConnector(), given to several, keeps connections",
    "HttpClient": _REQUEST,
    "ClientRequest": _REQUEST,
    "ClientTimeout": "timeout=aiohttp.Timeout(total=..., connect=..., read=..., exchange=...)",
    "ClientError": f"aiohttp.HttpException and aiohttp.ConnectionError; of the latter there are {_OS_ERRORS}",
    "ClientResponseError": "aiohttp.HttpErrorException, which raise_for_status() raises",
    "ClientConnectorError": "aiohttp.OsConnectionError",
    "ClientOSError": _OS_ERRORS,
    "ServerDisconnectedError": "aiohttp.ClientConnectionError",
    "ClientPayloadError": "aiohttp.ClientConnectionError and aiohttp.IncompleteRead",
    "ServerTimeoutError": "aiohttp.TimeoutError",
    "InvalidURL": "ValueError",
    "TooManyRedirects": "aiohttp.RedirectError",
    "ContentTypeError": "ValueError, which json() of a response raises",
    "BasicAuth": "auth=(user, password)",
    "FormData": "data= for a form, files= for multipart/form-data",
    "MultipartWriter": "files=, which is sent as multipart/form-data",
    "CookieJar": "cookies=, and response.cookies",
    "ProxyInfo": "proxy=",
    "TCPKeepAliveConnector": "aiohttp.SocketConnector",
    "web": _SERVER,
    "server": _SERVER,
    "wsgi": _SERVER,
    "Application": _SERVER,
    "WSMsgType": "there are no web sockets here",
    "WSMessage": "there are no web sockets here",
    "ClientWebSocketResponse": "there are no web sockets here",
    "client_exceptions": "the errors are names of aiohttp itself",
    "client_reqrep": "aiohttp.ClientResponse",
}


def explain_missing(name: str, names: Iterable[str]) -> str:
    """Say that there is no such name, and what to use instead.

    :param names: that there are.
    """
    return _with_own_names(_explain(name, names))


def _with_own_names(text: str) -> str:
    """Name what a text calls ``aiohttp.name`` as it is imported here."""
    if _PACKAGE == "aiohttp":
        return text
    return text.replace("aiohttp.worker.", "aiohttp_worker.").replace("aiohttp.", f"{_PACKAGE}.")


def _explain(name: str, names: Iterable[str]) -> str:
    instead = _INSTEAD.get(name)
    if instead is not None:
        return f"{_PACKAGE} has no {name}: {_WHOSE}. Instead: {instead} (docs/client.rst)"
    if name in _WORKERS:
        return f"{_PACKAGE} has no {name}: it is aiohttp.worker.{name}"
    import difflib  # here, because a program that is right never needs it

    workers = "worker" if _PACKAGE == "aiohttp" else ""
    nearest = difflib.get_close_matches(name, [*names, workers], 1, 0.75)
    if nearest == ["worker"]:
        return f"aiohttp has no {name}: did you mean aiohttp.worker? It has {' and '.join(_WORKERS)}"
    if nearest:
        return f"{_PACKAGE} has no {name}: did you mean aiohttp.{nearest[0]}? If not: {_WHOSE}"
    return f"{_PACKAGE} has no {name}: {_WHOSE} (docs/client.rst has what there is)"


class _MissingModules:
    """Comes last of those that are asked for modules: says why one of this package is not there.

    ``from aiohttp import ClientSession`` asks as well, before it fails in words that cannot be chosen.
    """

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        package, _, name = fullname.rpartition(".")
        if package == _PACKAGE and not name.startswith("_"):
            known = getattr(sys.modules.get(_PACKAGE), "__all__", ())
            # With the name of the package: who asks whether PyPI's is there is told that it is not.
            raise ModuleNotFoundError(explain_missing(name, known), name=_PACKAGE)


def missing_name(name: str, names: Iterable[str]) -> Exception:
    """Return the error for a name that the package has not; to be called by a module's ``__getattr__``.

    :param names: that there are.
    """
    text = explain_missing(name, names)
    if sys._getframe(2).f_globals.get("__name__") == "gunicorn.util":
        # Gunicorn, which loads a worker by its name, hides an AttributeError behind another error.
        return RuntimeError(text)
    return AttributeError(text)


def refuse_missing_modules() -> None:
    """Make imports of modules that this package has not fail with a sentence that helps."""
    for finder in sys.meta_path:
        if type(finder).__name__ == _MissingModules.__name__ and type(finder).__module__ == __name__:
            return
    sys.meta_path.append(_MissingModules())
