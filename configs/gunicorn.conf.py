"""Gunicorn in production: ``gunicorn -c gunicorn.conf.py package.module:application``.

Every value can be left out; what stands here stands here for a
reason, which the comment gives. docs/settings.rst lists all settings,
docs/scaling.rst says how to choose the numbers.
"""

import os

worker_class = "aiohttp.worker.AsyncGunicornWorker"

# Behind a front end on the same machine a unix socket saves the ports; in a
# container bind to all addresses and set FORWARDED_ALLOW_IPS.
bind = os.environ.get("BIND", "127.0.0.1:8000")

# One process per core computes as much as the machine can. WEB_CONCURRENCY is
# what platforms set, and what Gunicorn itself reads.
workers = int(os.environ.get("WEB_CONCURRENCY", len(os.sched_getaffinity(0))))

# 1 calls an ordinary application on the loop itself: fastest where it computes
# and never waits. With database queries or other waiting, threads keep the
# process answering meanwhile. Asynchronous applications need none.
threads = int(os.environ.get("THREADS", "8"))

# Slow and idle clients cost a little memory each, no thread.
worker_connections = 2000

# Longer than the front end keeps its idle connections, so that it is always the
# front end that closes one: the other way round a request can cross the close.
keepalive = 75

# Long enough for the slowest response; the service manager must wait longer.
graceful_timeout = 30

# A worker whose loop is stuck for so long is replaced.
timeout = 60

# The heartbeat's file must not be on a disk.
worker_tmp_dir = "/dev/shm"

# Against slow leaks; the jitter keeps workers from restarting together.
max_requests = 100_000
max_requests_jitter = 10_000

# To standard output and error, for the service manager or the container. The
# last atom is the time that the response took, in microseconds.
accesslog = "-"
errorlog = "-"
access_log_format = '%(h)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'

# All instances of a user would share one control socket.
control_socket_disable = True
