"""Views that fork: ``/HOW?place=…`` says what the child does, and where it is forked."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import pty
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from gate import query

from aiohttp_worker import AsyncBody

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


def note(text: str) -> None:
    """Say something in the log; each process says it once."""
    os.write(2, f"{text}\n".encode())


def act(how: str, environ: Environ) -> Any:
    """Be the child, as one likes to be."""
    return CHILDREN[how](environ)


def returns(environ: Environ) -> Any:
    return [b"the child's answer"]


def raises(environ: Environ) -> Any:
    raise ValueError("the child's error")


def runs(environ: Environ) -> Any:
    time.sleep(0.2)
    return [b"the child's answer"]


def prints(environ: Environ) -> Any:
    print("printed by the child")
    return [b""]


def reads(environ: Environ) -> Any:
    data = environ["wsgi.input"].read()
    note(f"the child has read {len(data)}")
    return [data]


def writes(environ: Environ) -> Any:
    environ["start"]("200 OK", [])(b"the child's answer" * 100000)
    return []


def daemon(environ: Environ) -> Any:
    os.setsid()
    if os.fork():
        os._exit(0)
    return [b"the daemon's answer"]


def hurts(environ: Environ) -> Any:
    """Write to every descriptor of the worker's."""
    for fd in range(3, 64):
        try:
            os.write(fd, b"?")
        except OSError:
            continue
    return [b""]


CHILDREN: dict[str, Callable[[Environ], Any]] = {
    "returns": returns,
    "raises": raises,
    "exits": lambda environ: sys.exit(7),
    "says": lambda environ: sys.exit("the child's last words"),
    "leaves": lambda environ: os._exit(8),
    "runs": runs,
    "prints": prints,
    "reads": reads,
    "writes": writes,
    "daemon": daemon,
    "hurts": hurts,
}


def fork(how: str, environ: Environ) -> Any:
    """Return what the child gives in the child, and in the parent the child's exit code."""
    if how == "terminal":
        pid, fd = pty.fork()
        if pid == 0:
            return [b"the child's answer"]
        code = ended(pid)
        os.close(fd)
        return code
    pid = os.fork()
    if pid == 0:
        return act(how, environ)
    return ended(pid)


def ended(pid: int) -> list[bytes]:
    return [str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode()]


def target(queue: Any) -> None:
    queue.put(sum(range(1000)))


def others(how: str) -> list[bytes] | None:
    """Processes that end as they should by themselves."""
    if how == "multiprocessing":
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        process = context.Process(target=target, args=(queue,))
        process.start()
        result = queue.get()
        process.join()
        return [f"{result} {process.exitcode}".encode()]
    if how == "pool":
        with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            return [str(list(pool.map(abs, [-1, 2, -3]))).encode()]
    if how == "subprocess":
        done = subprocess.run(["cat"], input=b"fed", capture_output=True, check=True, preexec_fn=os.getpid)
        return [done.stdout]
    if how == "exec":
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/sh", ["sh", "-c", "exit 9"])
        return ended(pid)
    return None


class Body:
    """A body whose step or whose end forks."""

    def __init__(self, how: str, environ: Environ, place: str) -> None:
        self.how, self.environ, self.place = how, environ, place

    def __iter__(self) -> Iterator[bytes]:
        yield b"first "
        if self.place == "step":
            yield from fork(self.how, self.environ)
        note("stepped on")

    def close(self) -> None:
        if self.place == "close":
            fork(self.how, self.environ)
        note("closed")


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    how = environ["PATH_INFO"][1:]
    environ["start"] = start_response
    if how == "hello":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]
    place = query(environ, "place")
    if place in ("step", "close"):
        start_response("200 OK", [])
        return Body(how, environ, place)
    if place == "async":
        start_response("200 OK", [])
        return AsyncBody(body(how, environ))
    if place == "unflushed":
        sys.stdout.write("written once\n")
    result = others(how) or fork(how, environ)
    if how == "reads":
        result = [str(len(environ["wsgi.input"].read())).encode()]
    start_response("200 OK", [])
    return result  # type: ignore[no-any-return]


async def body(how: str, environ: Environ) -> AsyncIterator[bytes]:
    yield b"first "
    for item in fork(how, environ):
        yield item


async def coroutine(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The same in a coroutine, and what only a coroutine can do."""
    how = environ["PATH_INFO"][1:]
    place = query(environ, "place")
    if how == "hello":
        start_response("200 OK", [])
        return [b"hello"]
    if place == "deep":
        result = await deep(how, environ)
    elif place == "callback":
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: future.set_result(fork(how, environ)))
        result = await future
    elif place == "task":
        result = await asyncio.create_task(deep(how, environ))
    elif place == "executor":
        result = await asyncio.to_thread(others(how) and str or fork, how, environ)
    elif place == "soon":
        loop = asyncio.get_running_loop()
        loop.call_soon(note, "called soon")
        other = loop.create_task(noting())
        result = fork(how, environ)
        await asyncio.sleep(0)
        await other
    elif how == "spawns":
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        result = [(await process.communicate(b"fed"))[0]]
    elif how == "awaits":
        pid = os.fork()
        if pid == 0:
            await asyncio.sleep(0.01)
            note("the child goes on")
        result = ended(pid)
    else:
        result = others(how) or fork(how, environ)
    start_response("200 OK", [])
    return result  # type: ignore[no-any-return]


async def noting() -> None:
    note("in another task")


async def deep(how: str, environ: Environ) -> Any:
    await asyncio.sleep(0)
    try:
        return fork(how, environ)
    finally:
        environ["deep"] = True


def generator(environ: Environ, start_response: StartResponse) -> Iterator[Any]:
    """The same in a generator that awaits."""
    how = environ["PATH_INFO"][1:]
    start_response("200 OK", [])
    if how == "hello":
        return [b"hello"]
    yield from asyncio.sleep(0).__await__()
    yield b"first "
    return fork(how, environ)
