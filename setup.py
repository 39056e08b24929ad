"""Build definition of the distribution ``aiohttp-worker``.

Everything that ``pip`` needs to know is here; ``pyproject.toml`` names the build system and sets up the tools.

The strictly typed files listed in ``COMPILED``, those that a request passes through, are compiled by mypyc when a wheel is
built, and by Cython those in ``BY_POINTERS``. The environment variable ``AIOHTTP_WORKER_COMPILE`` decides:

====== ==========================================================================================================
unset  compile if mypy, Cython, a C compiler and CPython are there, otherwise install plain Python and say so
``0``  plain Python
``1``  compile, or fail with the reason
====== ==========================================================================================================

``AIOHTTP_WORKER_DISTRIBUTION=aiohttp-worker-core`` makes the other distribution of this tree: ``aiohttp_worker`` alone, for
environments with PyPI's aiohttp. The files of the client, ``aiohttp``, are ``aiohttp_worker.client`` in it.

An editable install stays plain unless it is told ``1``: a compiled file beside its source would win over every later edit.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# Patterns of the files that mypyc compiles. They must pass ``mypy --strict`` and work the same when they are not compiled.
COMPILED = (
    "aiohttp_worker/http1/*.py",
    "aiohttp_worker/http2/*.py",
    *(
        f"aiohttp_worker/{name}.py"
        for name in (
            "server/answer",
            "server/channels",
            "server/addresses",
            "server/connection",
            "server/exchange",
            "server/http1_connection",
            "server/http1_stream",
            "server/http2_connection",
            "server/http2_stream",
            "server/lifetime",
            "server/loop_visibility",
            "server/overload",
            "server/proxy_protocol",
            "server/request_body",
            "server/settings",
            "server/state",
            "server/stream",
            "server/thread_pool",
            "transport/read_gate",
            "transport/sendfile",
            "transport/spill_file",
            "transport/tls_records",
            "transport/tls_transport",
            "transport/write_batch",
            "transport/write_queue",
            "wsgi/application",
            "wsgi/environ",
            "wsgi/start_response",
        )
    ),
)

# Those that look at bytes by pointers, which mypyc does not: Cython compiles them, with the types in the .pxd beside each.
BY_POINTERS = ("aiohttp_worker/http1/field_writer.py", "aiohttp_worker/http1/head_scanner.py")
PLAIN = ("aiohttp_worker/http1/octets.py",)  # what those are in the plain form

HERE = Path(__file__).resolve().parent
MYPY = "mypy>=2.4,<3"
CYTHON = "Cython>=3.1,<4"
CYTHON_DIRECTIVES = {
    "language_level": "3",
    "annotation_typing": False,  # the .pxd says more than annotations can
    "always_allow_keywords": False,
    "binding": False,
    "boundscheck": True,
    "cdivision": True,
    "wraparound": False,
}
SWITCH = "AIOHTTP_WORKER_COMPILE"
FULL, CORE = "aiohttp-worker", "aiohttp-worker-core"
DISTRIBUTION = "AIOHTTP_WORKER_DISTRIBUTION"
# Calls from one compiled function to the next stay in the library, and may be inlined; to the interpreter they need no
# stub. That is 4 % of the instructions of a request.
LOCAL_CALLS = ["-fvisibility=hidden", "-fno-plt"] if sys.platform.startswith("linux") else []
BUILDING = {"build", "build_ext", "bdist_wheel", "bdist_egg", "install"}


def read_version() -> str:
    """Return ``__version__`` without importing the package, whose dependencies may not be installed yet."""
    source = (HERE / "aiohttp_worker" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__(?:: \S+)? = "([^"]+)"$', source, re.MULTILINE)
    if found is None:
        raise SystemExit("setup.py: no line '__version__ = \"…\"' in aiohttp_worker/__init__.py")
    return found.group(1)


def read_choice() -> str:
    """Return what the switch says: ``""`` (try), ``"0"`` (never) or ``"1"`` (must)."""
    choice = os.environ.get(SWITCH, "").strip()
    if choice not in ("", "0", "1"):
        raise SystemExit(f"setup.py: {SWITCH} must be 0, 1 or unset, not {choice!r}")
    return choice


def read_distribution() -> str:
    """Return the name of the distribution to make: that of the variable, or of the source archive that this file came in."""
    archive = HERE / "PKG-INFO"
    named = re.search(r"^Name: (.+)$", archive.read_text(encoding="utf-8"), re.MULTILINE) if archive.exists() else None
    name = os.environ.get(DISTRIBUTION, "").strip() or (named.group(1) if named else FULL)
    if name not in (FULL, CORE):
        raise SystemExit(f"setup.py: {DISTRIBUTION} must be {FULL}, {CORE} or unset, not {name!r}")
    return name


def say_plain(reason: object) -> None:
    """Tell the installer that the plain files are used, and why."""
    print(f"{NAME}: installing as plain Python, not compiled: {reason}", file=sys.stderr)


def compiled_files() -> list[str]:
    """Return the files that mypyc compiles, package markers left out, relative to this folder."""
    files = {path for pattern in COMPILED for path in HERE.glob(pattern) if path.name != "__init__.py"}
    return sorted({path.relative_to(HERE).as_posix() for path in files}.difference(BY_POINTERS, PLAIN))


def scanner_extensions(*arguments: str) -> list[Extension]:
    """Return the extension modules that Cython makes; the C files go into the folder of builds.

    :param arguments: for the C compiler.
    """
    from Cython.Build import cythonize

    files = [Extension(path.removesuffix(".py").replace("/", "."), [path]) for path in BY_POINTERS]
    extensions: list[Extension] = cythonize(files, build_dir="build/cython", compiler_directives=CYTHON_DIRECTIVES, quiet=True)
    for extension in extensions:
        extension.extra_compile_args += arguments
    return extensions


def try_compiler() -> None:
    """Compile and link one empty extension, so that a missing compiler or header is known before anything depends on it.

    :raises Exception: whatever the compiler driver raises, with its reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(
            "#include <Python.h>\n"
            'static struct PyModuleDef probe = {PyModuleDef_HEAD_INIT, "probe"};\n'
            "PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&probe); }\n",
            encoding="ascii",
        )
        command = build_ext(Distribution({"ext_modules": [Extension("probe", [str(source)])]}))
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()


def make_extensions(choice: str) -> list[Extension]:
    """Return the extension modules to build: none where plain Python is wanted or all that is possible."""
    building = bool(BUILDING.intersection(sys.argv[1:]))
    editable = "editable_wheel" in sys.argv[1:]
    files = compiled_files()
    if choice == "0" or not files or not (building or (editable and choice == "1")):
        return []
    try:
        if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
            raise RuntimeError("mypyc compiles for CPython with its global lock, and this is not one")
        try_compiler()
        from mypyc.build import mypycify

        # Without the strict settings: those are for `make types`, and a newer mypy must not turn a wheel into a plain one.
        options = ["--config-file=", "--ignore-missing-imports"]
        extensions = list(mypycify([*options, *files], opt_level="3", debug_level="0", group_name="aiohttp_worker"))
        extensions += scanner_extensions("-O3", "-g0")
        for extension in extensions:
            extension.extra_compile_args += LOCAL_CALLS
        return extensions
    except (Exception, SystemExit) as error:  # mypyc ends the process when a file does not type-check
        if choice == "1":
            raise
        say_plain(f"{type(error).__name__}: {error}")
        return []


class AllOrNothing(build_ext):
    """Builds the compiled modules; when one of them fails, none is installed, since each needs the shared one.

    The plain files are in the wheel in any case.
    """

    def build_extensions(self) -> None:
        """Build every extension or, unless told that it must be compiled, remove what was built."""
        try:
            super().build_extensions()
        except Exception as error:
            if read_choice() == "1":
                raise
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            say_plain(error)


class OneClient(build_py):
    """Leaves ``aiohttp_worker/client.py`` out, which stands for the package ``aiohttp``, where that package is in its place."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of a package, each as its package, name and file."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [one for one in found if NAME == FULL or one[:2] != ("aiohttp_worker", "client")]


# Floors and caps are tested: ``make floors`` runs the suite with exactly the lowest versions of these.
DEPENDENCIES = [
    "gunicorn>=27.0,<28",
    "httptools>=0.7.1,<0.10",
    "PasteDeploy>=3.1,<4",
    "WebOb>=1.8.9,<2",
    "multidict>=6.1,<8",
    "idna>=3.7,<4",
    "aiohappyeyeballs>=2.4.4,<3",
]
EXTRAS = {
    "uvloop": ["uvloop>=0.21,<0.24; platform_python_implementation == 'CPython'"],
    "http2": ["ngh2>=0.3,<0.4", "h2>=4.1,<5"],  # Gunicorn takes its setting only where h2 is installed
    "brotli": ["brotli>=1.2,<2"],
    "zstd": ["backports.zstd>=1.0,<2; python_version < '3.14'"],
    "socks": ["python-socks>=2.7,<4"],
    "charset": ["charset-normalizer>=3.4,<4"],
    "publicsuffix": ["publicsuffixlist>=1.0.2.20250107,<2"],
    "lint": ["ruff>=0.17,<0.18", MYPY, "kubernetes-validate>=1.30", "coverage>=7.10,<8"],
    "test": [
        "pytest>=9,<10",
        "pytest-xdist>=3.8",
        "docutils>=0.21",
        "hypothesis>=6.140",
        "WebTest>=3.0.4",
        "a2wsgi>=1.10",
        "bottle>=0.13",
        "dulwich>=1.2",
        "WsgiDAV>=4.4",
        "Django>=5.2",
        "falcon>=4.2",
        "Flask>=3.1",
        MYPY,  # what it finds in a program that uses the client
        "h2>=4.1",  # the clients of the tests of HTTP/2
        "ngh2>=0.3,<0.4",
        "httpbin>=0.10.2",
        "ddtrace>=4; platform_python_implementation == 'CPython' and python_version < '3.15'",
        "elastic-apm>=6.23",
        "newrelic>=11; platform_python_implementation == 'CPython'",
        "opentelemetry-instrumentation-wsgi>=0.50b0",
        "opentelemetry-sdk>=1.29",
        "sentry-sdk>=2.20",
        "flask-sock>=0.7",
        "python-engineio>=4.9",
        "simple-websocket>=1.0",
        "websockets>=17.0,<18",
        "pyramid>=2.0.2",
        "PasteScript>=3.7",
        "PyYAML>=6",
        "tqdm>=4.66",
        "setuptools>=77,<82",  # `paster serve` and pyramid's `pserve` import pkg_resources, which 82 removed
    ],
}
EXTRAS["all"] = [one for name, ones in EXTRAS.items() if name not in ("lint", "test") for one in ones]

CHOICE = read_choice()
NAME = read_distribution()
PACKAGES = find_packages(include=["aiohttp", "aiohttp.*", "aiohttp_worker", "aiohttp_worker.*"])
if NAME == CORE:
    PACKAGES = [name for name in PACKAGES if name.partition(".")[0] != "aiohttp"] + ["aiohttp_worker.client"]
# The compiled files import httptools, and mypy reads its types.
BUILD_DEPENDENCIES = [MYPY, CYTHON, *(one for one in DEPENDENCIES if one.startswith("httptools"))]

setup(
    name=NAME,
    version=read_version(),
    description="Asynchronous Gunicorn workers for WSGI applications, and an asyncio HTTP client",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="The aiohttp-worker authors",
    license="BSD-3-Clause",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=PACKAGES,
    package_dir={"aiohttp_worker.client": "aiohttp"} if NAME == CORE else {},
    package_data={"aiohttp": ["py.typed"], "aiohttp_worker": ["py.typed"], "aiohttp_worker.demo": ["*.html"]},
    include_package_data=False,
    zip_safe=False,
    install_requires=DEPENDENCIES,
    extras_require=EXTRAS,
    setup_requires=BUILD_DEPENDENCIES if CHOICE != "0" and platform.python_implementation() == "CPython" else [],
    ext_modules=make_extensions(CHOICE),
    cmdclass={"build_ext": AllOrNothing, "build_py": OneClient},
    options={"build": {"build_base": f"build/{NAME}"}},
    entry_points={
        "gunicorn.workers": [
            "async = aiohttp_worker.worker:AsyncGunicornWorker",
            "async-nostream = aiohttp_worker.worker:AsyncNoStreamGunicornWorker",
        ],
        "pytest11": ["aiohttp_worker = aiohttp_worker.testing.pytest_plugin"],
    },
    keywords=["wsgi", "gunicorn", "asyncio", "http", "server", "client"],
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Environment :: Web Environment",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Server",
        "Typing :: Typed",
    ],
)
