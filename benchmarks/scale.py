"""The scale part: what more connections cost, working and idle."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from . import report, sockets, wrk
from .cores import Cores
from .environment import Environment, say
from .options import Options
from .process import ServerError, check, free_port, running
from .servers import Deployment, Server

DEFAULT = "aiohttp-worker,aiohttp-nostream,gthread,gevent,granian,waitress,bjoern,fastpysgi,fastwsgi"
WORKING = (1, 64, 1000, 10_000)
MANY = 5000
IDLE_SECONDS = 10.0  # CPU time comes in ticks of 10 ms
BESIDE = 64  # connections that work while the others are idle


@dataclass
class Scale:
    """The figures of one server."""

    server: str
    rates: dict[int, float] = field(default_factory=dict)  # connections → requests per second
    cpu: dict[int, float] = field(default_factory=dict)  # connections → server's seconds per request
    errors: dict[int, int] = field(default_factory=dict)
    idle: int = 0  # connections that were held
    idle_memory: float = 0.0  # bytes each
    idle_cpu: float = 0.0  # seconds per connection and second
    rate_beside: float = 0.0  # requests per second beside the idle ones
    failure: str = ""


def measure(server: Server, environment: Environment, pinned: Cores, seconds: float, idle: int) -> Scale:
    """Measure one server; a failure is a result too."""
    scale = Scale(server.name)
    try:
        measure_working(scale, server, environment, pinned, seconds)
        measure_idle(scale, server, environment, pinned, seconds, idle)
    except (ServerError, OSError, ValueError) as error:
        scale.failure = str(error)
    return scale


def measure_working(scale: Scale, server: Server, environment: Environment, pinned: Cores, seconds: float) -> None:
    with running(server, Deployment("wsgi:hello", free_port()), environment, pinned.server) as started:
        check(started, environment, 0, 13)
        for connections in WORKING:
            say(f"scale  {server.name:18} {connections} connections")
            # To open them is a part of what is measured, so the more there are the longer the run.
            duration = seconds if connections < MANY else 4 * seconds
            before = started.cpu_seconds()
            load = wrk.run(started.url, "plain", connections, duration, pinned.load)
            used = started.cpu_seconds() - before
            scale.rates[connections] = load.rate
            scale.cpu[connections] = used / load.requests if load.requests else 0.0
            scale.errors[connections] = load.errors


def measure_idle(scale: Scale, server: Server, environment: Environment, pinned: Cores, seconds: float, idle: int) -> None:
    say(f"scale  {server.name:18} {idle} idle connections")
    with running(server, Deployment("wsgi:hello", free_port()), environment, pinned.server) as started:
        check(started, environment, 0, 13)
        before = started.memory().pss
        with sockets.held(started.deployment.port, idle, sockets.HELLO, answered=True) as connections:
            scale.idle = len(connections)
            if not connections:
                return
            scale.idle_memory = max(0, started.memory().pss - before) / len(connections)
            used, began = started.cpu_seconds(), time.monotonic()
            time.sleep(IDLE_SECONDS)
            scale.idle_cpu = (started.cpu_seconds() - used) / (time.monotonic() - began) / len(connections)
            scale.rate_beside = wrk.run(started.url, "plain", BESIDE, seconds, pinned.load).rate


def table(scales: Iterable[Scale]) -> str:
    headings = ("server", *(f"{count:,}" for count in WORKING), *(f"CPU µs, {count:,}" for count in WORKING))
    headings += ("errors", "idle", "KiB each", "µs CPU/s each", f"{BESIDE} beside")
    lines = []
    for scale in scales:
        rates = [f"{scale.rates.get(count, 0):,.0f}" for count in WORKING]
        cpu = [f"{scale.cpu.get(count, 0) * 1e6:.1f}" for count in WORKING]
        idle = [f"{scale.idle:,}", f"{scale.idle_memory / 1024:.1f}", f"{scale.idle_cpu * 1e6:.2f}", f"{scale.rate_beside:,.0f}"]
        lines.append([scale.server, *rates, *cpu, str(sum(scale.errors.values())), *idle])
    return report.layout(headings, lines)


def run(options: Options, environment: Environment, pinned: Cores) -> None:
    """Measure, print the table, save ``scale.json`` and ``scale.txt``."""
    servers = options.choose_servers(DEFAULT)
    scales = [measure(server, environment, pinned, options.seconds, options.idle) for server in servers]
    text = "\n".join([table(scales), *(f"{scale.server}: {scale.failure}" for scale in scales if scale.failure)])
    report.save(options.output, "scale", text, {"machine": report.machine(), "scales": [asdict(scale) for scale in scales]})
