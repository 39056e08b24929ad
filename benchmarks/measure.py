"""One measurement: a server, a workload, some seconds of load."""

from dataclasses import asdict, dataclass

from . import h2load, wrk
from .cores import Cores
from .environment import Environment
from .load import Load
from .process import ServerError, check, free_port, running
from .servers import Deployment, Server
from .workloads import Workload

WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Result:
    """What one server did under one workload in one round."""

    workload: str
    server: str
    round: int
    rate: float = 0.0  # requests per second
    cpu: float = 0.0  # seconds of the server's processes per request
    busy: float = 0.0  # how much of one core the server used; below 1 the load was the limit
    p50: float = 0.0  # seconds
    p99: float = 0.0
    pss: int = 0  # bytes under load
    rss: int = 0
    errors: int = 0
    failure: str = ""  # why there are no figures

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def put_load(url: str, workload: Workload, seconds: float, cores: str) -> Load:
    """Send the workload's requests for some seconds, by wrk or, over HTTP/2, by h2load."""
    if workload.http2:
        shape = h2load.Shape(workload.shape, workload.streams, workload.body)
        return h2load.run(url, shape, workload.connections, seconds, cores)
    return wrk.run(url, workload.shape, workload.connections, seconds, cores)


def measure(server: Server, workload: Workload, number: int, seconds: float, environment: Environment, cores: Cores) -> Result:
    """Start the server, warm it up, load it, and return what was seen; failures are results too."""
    interface = workload.interface(server)
    if interface is None:
        return Result(workload.name, server.name, number, failure="does not take part")
    deployment = Deployment(
        workload.applications[interface], free_port(), interface, workload.workers, workload.threads, workload.tls, workload.http2
    )
    try:
        with running(server, deployment, environment, cores.server) as started:
            check(started, environment, workload.body, workload.size)
            put_load(started.url, workload, WARM_UP_SECONDS, cores.load)
            started.check_alive()  # some do not survive clients that leave in the middle of an answer
            before = started.cpu_seconds()
            load = put_load(started.url, workload, seconds, cores.load)
            used = started.cpu_seconds() - before
            memory = started.memory()
    except (ServerError, OSError, ValueError) as error:
        return Result(workload.name, server.name, number, failure=str(error))
    if not load.requests:
        return Result(workload.name, server.name, number, errors=load.errors, failure="no request was answered")
    return Result(
        workload.name,
        server.name,
        number,
        rate=load.rate,
        cpu=used / load.requests,
        busy=used / load.seconds,
        p50=load.p50,
        p99=load.p99,
        pss=memory.pss,
        rss=memory.rss,
        errors=load.errors,
    )
