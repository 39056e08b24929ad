"""httpbin, which reads chunked bodies only where it believes to be under Gunicorn itself."""

from __future__ import annotations

from typing import Any

from httpbin import app


def application(environ: dict[str, Any], start_response: Any) -> Any:
    environ["SERVER_SOFTWARE"] = "gunicorn/27"
    return app(environ, start_response)
