"""``python -m benchmarks``: see ``--help`` and docs/performance.rst."""

import os
import signal
import sys
from types import FrameType

from . import cores, layers, options, robustness, scale, speed
from .environment import prepare
from .limits import allow_many_files

RUN = {"speed": speed.run, "layers": layers.run, "scale": scale.run, "robustness": robustness.run}


def end(number: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C, so that the server that is being measured is stopped too."""
    sys.exit(128 + number)


def main(arguments: list[str]) -> None:
    """Run the parts that the command line names, one after the other."""
    chosen = options.parse(arguments)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    allow_many_files()
    environment = prepare(chosen.in_place)
    pinned = cores.choose(os.sched_getaffinity(0), chosen.server_cores, chosen.load_cores)
    pinned.pin_this_process()
    chosen.output.mkdir(parents=True, exist_ok=True)
    for part in chosen.parts:
        RUN[part](chosen, environment, pinned)


if __name__ == "__main__":
    main(sys.argv[1:])
