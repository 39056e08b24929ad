"""Walk of one request through the files of the server."""

from __future__ import annotations

import re

import pytest

from aiohttp_worker.server import connection
from benchmarks.walk import main, walk


@pytest.mark.skipif(connection.__file__.endswith(".so"), reason="compiled functions are not seen by a profiler")
def test_walk(capsys: pytest.CaptureFixture[str]) -> None:
    found = walk()
    assert next(iter(found.files)) == "server/connection.py"
    assert {"http1/server_connection.py", "wsgi/start_response.py", "server/exchange.py"} < found.files.keys()
    # Ceilings, to be lowered.
    assert len(found.files) <= 18
    assert found.changes <= 84
    assert found.calls <= 53
    main()
    # Whether the batch of answers is flushed at once depends on the clock: another walk may differ by two changes.
    assert re.search(r"\n\d+ files, \d+ changes of file, \d+ calls\n", capsys.readouterr().out)
