"""nginx, apache, caddy, h2o and Python's own server: TLS, codings, and how they end connections."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

import aiohttp
from aiohttp.decompression import accept_encoding
from tests.certificates import Authority

from .servers import free_port, nobody, program, running

pytestmark = pytest.mark.slow

SOURCE = random.Random(1)
TEXT = " ".join(str(SOURCE.random()) for _ in range(20_000)).encode()


@pytest.fixture
def site(folder: Path) -> Path:
    """Files to serve."""
    root = folder / "site"
    root.mkdir(mode=0o755)
    (root / "text.txt").write_bytes(TEXT)
    (root / "bomb.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    (root / "index.html").write_text("<p>hello")
    return root


def nginx_config(folder: Path, site: Path, port: int, tls_port: int, authority: Authority) -> Path:
    certificate = authority.issue("nginx", "/CN=localhost")
    os.chmod(certificate.keyfile, 0o644)
    config = folder / "nginx.conf"
    config.write_text(f"""
        daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
        events {{ worker_connections 100; }}
        http {{
            access_log off; types {{ text/plain txt; }}
            client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{
                listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
                ssl_certificate {certificate.certfile}; ssl_certificate_key {certificate.keyfile};
                root {site}; keepalive_requests 4; client_max_body_size 1k;
                location /count {{ return 200 "$connection $connection_requests $server_protocol $http_connection"; }}
                location /gzip/ {{ alias {site}/; gzip on; gzip_types text/plain; }}
                location /bomb {{ alias {site}/bomb.gz; add_header Content-Encoding gzip; }}
                location /close {{ keepalive_timeout 0; return 200 "bye"; }}
                location /upload {{ proxy_pass http://127.0.0.1:{port}/count; }}
                location /where {{ return 301 https://localhost:{tls_port}/count; }}
            }}
        }}""")
    return config


def test_nginx(run: Any, folder: Path, site: Path, authority: Authority) -> None:
    nginx = program("nginx")
    port, tls_port = free_port(), free_port()
    config = nginx_config(folder, site, port, tls_port, authority)
    url, tls_url = f"http://127.0.0.1:{port}", f"https://localhost:{tls_port}"

    async def main() -> None:
        trusting = authority.client_context()
        async with aiohttp.SocketConnector(ssl_context=trusting, limit=4) as connector:

            async def get(url: str, **options: Any) -> bytes:
                async with aiohttp.request("GET", url, connector=connector, timeout=20, **options) as response:
                    assert response.status == 200, response
                    body: bytes = await response.read()
                    return body

            for base in (url, tls_url):
                counts = [(await get(f"{base}/count")).split() for _ in range(6)]
                assert [count[1] for count in counts] == [b"1", b"2", b"3", b"4", b"1", b"2"]
                assert await get(f"{base}/text.txt") == TEXT
                assert await get(f"{base}/gzip/text.txt") == TEXT
                assert await get(f"{base}/close") == b"bye"
                assert b"HTTP/1.0" in await get(f"{base}/count", version=(1, 0))
                kept = await get(f"{base}/count", version=(1, 0), headers={"Connection": "keep-alive"})
                assert kept.endswith(b"HTTP/1.0 keep-alive")
                async with aiohttp.request("GET", f"{base}/bomb", connector=connector) as response:
                    size = 0
                    while piece := await response.content.readany():
                        size += len(piece)
                    assert size == 50_000_000
                async with aiohttp.request(
                    "POST", f"{base}/upload", data=b"x" * 5000, expect100=True, connector=connector
                ) as response:
                    assert response.status == 413
            async with aiohttp.request("GET", f"{url}/where", connector=connector) as response:
                assert response.url == f"{tls_url}/count"
                assert [one.status for one in response.history] == [301]
        for options, match in (
            ({}, "certificate verify failed"),
            ({"ssl_context": trusting}, "doesn't match|not valid|mismatch"),
        ):
            async with aiohttp.SocketConnector(**options) as connector:  # type: ignore[arg-type]
                address = tls_url if not options else tls_url.replace("localhost", "127.0.0.2")
                with pytest.raises(aiohttp.OsConnectionError) as caught:
                    await aiohttp.request("GET", address, connector=connector)
                assert not options or caught.value.errno
                if not options:
                    assert match in str(caught.value)
        async with aiohttp.SocketConnector(verify_ssl=False) as connector:
            async with aiohttp.request("GET", f"{tls_url}/count", connector=connector) as response:
                assert response.status == 200

    with running([nginx, "-c", str(config), "-p", str(folder)], port, tls_port, folder=folder):
        run(main)


def test_plain_http_to_a_tls_port(run: Any, folder: Path, site: Path, authority: Authority) -> None:
    nginx = program("nginx")
    port, tls_port = free_port(), free_port()
    config = nginx_config(folder, site, port, tls_port, authority)

    async def main() -> None:
        async with aiohttp.request("GET", f"http://127.0.0.1:{tls_port}/") as response:
            assert response.status == 400
        with pytest.raises(aiohttp.OsConnectionError):
            await aiohttp.request("GET", f"https://127.0.0.1:{port}/")

    with running([nginx, "-c", str(config), "-p", str(folder)], port, tls_port, folder=folder):
        run(main)


CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
printf '%s|%s|%s|' "$REQUEST_METHOD" "$CONTENT_LENGTH" "$HTTP_TRANSFER_ENCODING"
md5sum
"""


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()


def test_apache(run: Any, folder: Path, site: Path) -> None:
    apache = program("apache2")
    port = free_port()
    script = site / "echo.cgi"
    script.write_text(CGI)
    script.chmod(0o755)
    modules = [
        "mpm_event", "authz_core", "mime", "alias", "cgid", "filter", "deflate", "brotli", "dir", "unixd", "auth_digest",
    ]  # fmt: skip
    config = folder / "apache.conf"
    loaded = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules if name != "unixd")
    config.write_text(f"""
        ServerRoot {folder}
        ServerName localhost
        Listen 127.0.0.1:{port}
        PidFile {folder}/apache.pid
        ErrorLog {folder}/apache.log
        ScriptSock {folder}/cgisock
        {loaded}
        User {nobody() or "#-1"}
        Mutex posixsem
        TypesConfig /etc/mime.types
        DocumentRoot {site}
        <Directory {site}>
            Options +ExecCGI
            AddHandler cgi-script .cgi
            Require all granted
        </Directory>
        ScriptAlias /inflate {site}/echo.cgi
        <Location /inflate>
            SetInputFilter DEFLATE
        </Location>
        <Location /text.txt>
            SetOutputFilter BROTLI_COMPRESS
        </Location>""")

    async def main() -> None:
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.SocketConnector() as connector:

            async def post(path: str, **options: Any) -> bytes:
                async with aiohttp.request("POST", url + path, connector=connector, timeout=20, **options) as response:
                    assert response.status == 200, await response.text()
                    body: bytes = await response.read()
                    return body

            assert (await post("/echo.cgi", data=b"hello")).startswith(b"POST|5||" + md5(b"hello"))
            assert md5(b"hello") in await post("/echo.cgi", data=iter([b"he", b"llo"]))
            for compress in ("gzip", None):
                assert md5(TEXT) in await post("/inflate", data=TEXT, compress=compress)
                assert md5(TEXT) in await post("/inflate", data=iter([TEXT[:100], TEXT[100:]]), compress=compress)
            assert md5(TEXT) in await post("/echo.cgi", data=TEXT, expect100=True)
            if "br" in accept_encoding():
                async with aiohttp.request("GET", f"{url}/text.txt", connector=connector) as response:
                    assert await response.read() == TEXT
                    assert response.headers["Content-Encoding"] == "br"

    with running([apache, "-f", str(config), "-D", "FOREGROUND"], port, folder=folder):
        run(main)


def test_caddy(run: Any, folder: Path, site: Path) -> None:
    caddy = program("caddy")
    port = free_port()
    (folder / "Caddyfile").write_text(f"""
        {{
            admin off
            auto_https off
            storage file_system {folder}/caddy
        }}
        http://127.0.0.1:{port} {{
            root * {site}
            encode zstd gzip
            file_server
        }}""")

    async def main() -> None:
        for coding in ("zstd", "gzip"):
            if coding == "zstd":
                pytest.importorskip(
                    "backports.zstd" if sys.version_info < (3, 14) else "compression.zstd", reason="no zstd in this Python"
                )
            headers = {"Accept-Encoding": coding}
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}/text.txt", headers=headers) as response:
                assert response.headers["Content-Encoding"] == coding
                assert await response.read() == TEXT

    variables = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with running([caddy, "run", "--config", str(folder / "Caddyfile")], port, folder=folder, **variables):
        run(main)


def test_h2o(run: Any, folder: Path, site: Path, authority: Authority) -> None:
    h2o = program("h2o")
    pytest.importorskip("brotli", reason="the package brotli is not installed")
    port, tls_port = free_port(), free_port()
    certificate = authority.issue("h2o", "/CN=localhost")
    user = f"user: {nobody()}\n" if nobody() else ""
    os.chmod(certificate.keyfile, 0o644)
    config = folder / "h2o.conf"
    config.write_text(
        f"""{user}listen: {{host: 127.0.0.1, port: {port}}}
hosts:
  default:
    listen:
      host: 127.0.0.1
      port: {tls_port}
      ssl: {{certificate-file: {certificate.certfile}, key-file: {certificate.keyfile}}}
    paths:
      /:
        file.dir: {site}
        compress: [br]
"""
    )

    async def main() -> None:
        async with aiohttp.SocketConnector(ssl_context=authority.client_context()) as connector:
            for url in (f"http://127.0.0.1:{port}", f"https://localhost:{tls_port}"):
                async with aiohttp.request("GET", f"{url}/text.txt", connector=connector) as response:
                    assert response.headers["Content-Encoding"] == "br"
                    assert await response.read() == TEXT

    with running([h2o, "-c", str(config)], port, tls_port, folder=folder):
        run(main)


def test_python(run: Any, folder: Path, site: Path) -> None:
    port = free_port()

    async def main() -> None:
        async with aiohttp.SocketConnector() as connector:
            for _ in range(2):
                async with aiohttp.request("GET", f"http://127.0.0.1:{port}/text.txt", connector=connector) as response:
                    assert response.version == (1, 0)
                    assert await response.read() == TEXT
            async with aiohttp.request("GET", f"http://127.0.0.1:{port}/none", connector=connector) as response:
                assert response.status == 404

    with running([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(site)], port, folder=folder):
        run(main)


def test_default_context_verifies() -> None:
    context = aiohttp.SocketConnector().ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context is aiohttp.SocketConnector().ssl_context()
