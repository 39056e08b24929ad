"""Start one of the servers that have no command line fit for a comparison.

``python launch.py SERVER MODULE:APPLICATION HOST PORT WORKERS THREADS``
"""

import os
import signal
import sys
from importlib import import_module
from typing import Any

LARGEST_BODY = 2_000_000_000  # where a server's own limit is below the largest upload here


def fork_workers(workers: int) -> None:
    """Return in each of ``workers`` processes; the parent waits for them and passes SIGTERM on."""
    if workers == 1:
        return
    children = []
    for _ in range(workers):
        child = os.fork()
        if not child:
            return
        children.append(child)

    def pass_on(number: int, frame: object) -> None:
        for child in children:
            os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    for child in children:
        os.waitpid(child, 0)
    sys.exit(0)


def bjoern(application: Any, host: str, port: int, workers: int, threads: int) -> None:
    server = import_module("bjoern")
    server.listen(application, host, port, listen_backlog=4096)
    fork_workers(workers)
    server.run()


def fastwsgi(application: Any, host: str, port: int, workers: int, threads: int) -> None:
    server = import_module("fastwsgi").server
    server.backlog = 4096
    server.max_content_length = LARGEST_BODY
    fork_workers(workers)
    server.init(application, host, port)
    server.run()


def fastpysgi(application: Any, host: str, port: int, workers: int, threads: int) -> None:
    server = import_module("fastpysgi").server
    server.backlog = 4096
    server.max_content_length = LARGEST_BODY
    fork_workers(workers)
    server.init(application, host, port)
    server.run()


def freastal(application: Any, host: str, port: int, workers: int, threads: int) -> None:
    import_module("freastal").serve(application, host=host, port=port, workers=workers)


def cheroot(application: Any, host: str, port: int, workers: int, threads: int) -> None:
    server = import_module("cheroot.wsgi").Server(
        (host, port), application, numthreads=threads, request_queue_size=4096, timeout=75
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.start()
    finally:
        server.stop()


SERVERS = {"bjoern": bjoern, "cheroot": cheroot, "fastpysgi": fastpysgi, "fastwsgi": fastwsgi, "freastal": freastal}


def main() -> None:
    name, application, host, port, workers, threads = sys.argv[1:]
    module, attribute = application.split(":")
    SERVERS[name](getattr(import_module(module), attribute), host, int(port), int(workers), int(threads))


if __name__ == "__main__":
    main()
