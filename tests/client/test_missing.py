"""Names of PyPI's package: whose aiohttp this is, and what to use instead."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
import subprocess
import sys

import pytest

import aiohttp
from aiohttp.missing import _INSTEAD, explain_missing, refuse_missing_modules


@pytest.mark.parametrize("name", sorted(_INSTEAD))
def test_names_of_another_package(name: str) -> None:
    """Told by attribute, by ``from aiohttp import`` and by ``import aiohttp.name``; and what is recommended exists."""
    with pytest.raises(AttributeError, match=f"aiohttp has no {name}: .*PyPI's aiohttp is another package.* Instead: ") as caught:
        getattr(aiohttp, name)
    with pytest.raises(ImportError, match=r"PyPI's aiohttp is another package.* Instead: "):
        exec(f"from aiohttp import {name}")
    with pytest.raises(ModuleNotFoundError, match=r"PyPI's aiohttp is another package.* Instead: ") as missing:
        importlib.import_module(f"aiohttp.{name}")
    assert missing.value.name == "aiohttp"
    assert not hasattr(aiohttp, name)
    for recommended in re.findall(r"aiohttp\.(\w+)", str(caught.value)):
        assert recommended == "worker" or hasattr(aiohttp, recommended)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("requets", "did you mean aiohttp.request?"),
        ("Timout", "did you mean aiohttp.Timeout?"),
        ("SocketConector", "did you mean aiohttp.SocketConnector?"),
        ("workers", "did you mean aiohttp.worker?"),
        ("AsyncGunicornWorker", "it is aiohttp.worker.AsyncGunicornWorker"),
        ("abcdef", "docs/client.rst has what there is"),
    ],
)
def test_names_that_are_mistyped(name: str, hint: str) -> None:
    assert hint in explain_missing(name, aiohttp.__all__)
    with pytest.raises(AttributeError, match=re.escape(hint)):
        getattr(aiohttp, name)
    with pytest.raises(ImportError, match=re.escape(hint)):
        exec(f"from aiohttp import {name}")


def test_what_libraries_ask_is_answered() -> None:
    """Those that use PyPI's aiohttp where it is installed, and go on without."""
    assert getattr(aiohttp, "ClientSession", None) is None
    assert not hasattr(aiohttp, "__wrapped__")
    assert not hasattr(aiohttp, "_private")
    with pytest.raises(ModuleNotFoundError):
        importlib.util.find_spec("aiohttp.web")
    assert importlib.util.find_spec("aiohttp.client") is not None
    assert importlib.util.find_spec("no_such_package_of_anybody") is None
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'aiohttp.client.deeper'"):
        importlib.import_module("aiohttp.client.deeper")


@pytest.mark.slow
def test_modules_that_exist_are_found() -> None:
    code = "from aiohttp import client, request, errors; import aiohttp.worker; from aiohttp import *; print(ClientResponse)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "ClientResponse" in done.stdout


def test_one_finder_is_enough() -> None:
    before = list(sys.meta_path)
    refuse_missing_modules()
    importlib.reload(aiohttp)
    assert sys.meta_path == before


@pytest.mark.parametrize("attribute", ["status", "text", "json", "headers", "strip"])
def test_a_forgotten_await_is_named(attribute: str) -> None:
    call = aiohttp.request("GET", "http://127.0.0.1:9/")
    try:
        with pytest.raises(
            AttributeError, match=rf"'RequestCall' object has no attribute '{attribute}': .* has to be awaited first"
        ):
            getattr(call, attribute)
        assert not hasattr(call, "_asyncio_future_blocking")
        assert asyncio.iscoroutine(call)
    finally:
        call.close()
