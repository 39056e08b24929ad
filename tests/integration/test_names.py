"""Names that do not exist, and who is told which one was meant."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from gunicorn.config import Config

import aiohttp.worker
import aiohttp_worker
import aiohttp_worker.worker
from aiohttp_worker.integration.names import nearest_name
from aiohttp_worker.integration.settings import OPTIONS, read_options
from aiohttp_worker.worker import AsyncGunicornWorker, AsyncNoStreamGunicornWorker


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AsyncGunicornWorke", "AsyncGunicornWorker"),
        ("asyncgunicornworker", "AsyncGunicornWorker"),
        ("AsyncNostreamGunicornWorker", "AsyncNoStreamGunicornWorker"),
        ("Sync", ""),
    ],
)
def test_nearest_name(name: str, nearest: str) -> None:
    assert nearest_name(name, aiohttp.worker.__all__) == nearest


@pytest.mark.parametrize("module", [aiohttp.worker, aiohttp_worker.worker, aiohttp_worker])
def test_a_worker_that_is_mistyped(module: Any) -> None:
    with pytest.raises(AttributeError, match="did you mean 'AsyncGunicornWorker'"):
        module.AsyncGunicornWorke  # noqa: B018
    with pytest.raises(AttributeError, match="its workers are AsyncGunicornWorker and AsyncNoStreamGunicornWorker"):
        module.Nothing  # noqa: B018
    assert not hasattr(module, "AsyncGunicornWorke")
    assert not hasattr(module, "__wrapped__")


@pytest.mark.parametrize(
    ("worker_class", "sentence"),
    [
        ("aiohttp.worker.AsyncGunicornWorke", "did you mean 'AsyncGunicornWorker'?"),
        ("aiohttp_worker.AsyncNostreamGunicornWorker", "did you mean 'AsyncNoStreamGunicornWorker'?"),
        ("aiohttp_worker.worker.Async", "its workers are AsyncGunicornWorker and"),
        ("aiohttp.AsyncGunicornWorker", "it is aiohttp.worker.AsyncGunicornWorker"),
        ("aiohttp.workers.AsyncGunicornWorker", "did you mean aiohttp.worker?"),
        ("aiohttp.wrker.AsyncGunicornWorker", "did you mean aiohttp.worker?"),
    ],
)
def test_gunicorn_passes_the_sentence_on(worker_class: str, sentence: str) -> None:
    """Its settings hide an AttributeError: what it raised then was TypeError: 'str' object is not callable."""
    config = Config()
    config.set("worker_class", worker_class)
    with pytest.raises(RuntimeError) as caught:
        config.worker_class  # noqa: B018
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["AsyncGunicornWorker", "AsyncNoStreamGunicornWorker"])
def test_the_workers_are_names_of_the_package_too(name: str) -> None:
    assert getattr(aiohttp_worker, name) is getattr(aiohttp.worker, name)
    config = Config()
    config.set("worker_class", f"aiohttp_worker.{name}")
    assert config.worker_class is getattr(aiohttp.worker, name)


@pytest.mark.slow
def test_the_package_alone_loads_no_gunicorn() -> None:
    says = "print('gunicorn' in sys.modules)"
    code = f"import sys, aiohttp_worker; {says}; aiohttp_worker.AsyncGunicornWorker; {says}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("AIOHTTP_WORKER_HEAD_TIMOUT", "did you mean AIOHTTP_WORKER_HEAD_TIMEOUT?"),
        ("AIOHTTP_WORKER_head_timeout", "did you mean AIOHTTP_WORKER_HEAD_TIMEOUT?"),
        ("aiohttp_worker_slow_call", "did you mean AIOHTTP_WORKER_SLOW_CALL?"),
        ("AIOHTTP_WORKER_BODY_MEMORY", "did you mean AIOHTTP_WORKER_BODY_MEMORY_SIZE?"),
        ("AIOHTTP_WORKER_MAXBODYSIZE", "did you mean AIOHTTP_WORKER_MAX_BODY_SIZE?"),
        ("AIOHTTP_WORKER_X", "AIOHTTP_WORKER_"),
    ],
)
def test_an_environment_variable_that_is_mistyped(variable: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"there is no environment variable {variable}: ") as caught:
        read_options(AsyncGunicornWorker, {variable: "5"})
    assert hint in str(caught.value)
    config = Config()
    config.set("raw_env", [f"{variable}=5"])
    with pytest.raises(RuntimeError, match=variable):
        AsyncNoStreamGunicornWorker.check_config(config, None)


def test_other_environment_variables_are_none_of_ours() -> None:
    variables = {
        "AIOHTTP_WORKER_COMPILE": "1",
        "AIOHTTP_WORKER": "x",
        "AIOHTTP_WORKERS": "4",
        "MY_AIOHTTP_WORKER_X": "",
        "PATH": "",
    }
    values = read_options(AsyncGunicornWorker, variables)
    assert values == {option.name: option.default for option in OPTIONS}


def test_an_option_of_a_subclass_that_is_mistyped() -> None:
    class Mine(AsyncGunicornWorker):
        head_timout = 5

    with pytest.raises(ValueError, match=r"Mine has no option head_timout: did you mean head_timeout\?"):
        read_options(Mine, {})

    class Inheriting(Mine):
        pass

    with pytest.raises(ValueError, match="Mine has no option"):
        read_options(Inheriting, {})


def test_a_subclass_may_have_names_of_its_own() -> None:
    class Mine(AsyncNoStreamGunicornWorker):
        head_timeout = 5
        timeout_of_mine = 7
        max_body = None
        version = "1"

        def slow_calls(self) -> None:
            pass

    assert read_options(Mine, {})["head_timeout"] == 5
