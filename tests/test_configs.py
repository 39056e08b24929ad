"""Each file in configs/ passes its own tool, and they agree with each other."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS, Config

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"
MANIFESTS = sorted((CONFIGS / "kubernetes").glob("*.yaml"))
KNOWN = {setting.name: setting for setting in KNOWN_SETTINGS}


def tool(name: str) -> str:
    path = shutil.which(name, path=f"{os.path.dirname(sys.executable)}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)
    output: str = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def gunicorn_settings() -> dict[str, Any]:
    settings = runpy.run_path(str(CONFIGS / "gunicorn.conf.py"))
    return {name: value for name, value in settings.items() if name in KNOWN}


def manifests() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    documents = [yaml.safe_load(path.read_text()) for path in MANIFESTS]
    return {document["kind"]: document for document in documents}


def test_every_file_has_a_test() -> None:
    """Add a test here when adding a file there."""
    files = [path for path in CONFIGS.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(CONFIGS)) for path in files} == {
        "Dockerfile",
        "gunicorn.conf.py",
        "haproxy.cfg",
        "kubernetes/deployment.yaml",
        "kubernetes/horizontalpodautoscaler.yaml",
        "kubernetes/poddisruptionbudget.yaml",
        "kubernetes/service.yaml",
        "nginx.conf",
        "production.ini",
        "systemd/gunicorn.service",
        "systemd/gunicorn.socket",
    }


def test_gunicorn_conf_has_settings_only() -> None:
    names = runpy.run_path(str(CONFIGS / "gunicorn.conf.py"))
    assert [name for name in names if not name.startswith("__") and name != "os" and name not in KNOWN] == []
    cfg = Config()
    for name, value in gunicorn_settings().items():
        cfg.set(name, value)


def test_gunicorn_conf_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.setenv("BIND", "0.0.0.0:80")
    settings = gunicorn_settings()
    assert (settings["workers"], settings["threads"], settings["bind"]) == (3, 1, "0.0.0.0:80")


@pytest.mark.slow
def test_gunicorn_takes_the_conf(tmp_path: Path) -> None:
    (tmp_path / "package.py").write_text("def application(environ, start_response): ...\n")
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    command = (sys.executable, "-m", "gunicorn", "--check-config", "-c", str(CONFIGS / "gunicorn.conf.py"), "package:application")
    run(*command, cwd=tmp_path, env=environ)


def test_production_ini_says_what_the_conf_says() -> None:
    parser = configparser.RawConfigParser()
    parser.read(CONFIGS / "production.ini")
    section = dict(parser["server:main"])
    assert section.pop("use") == "egg:gunicorn#main"
    assert f"{section.pop('host')}:{section.pop('port')}" == gunicorn_settings()["bind"]
    ours, theirs = Config(), Config()
    for name, value in section.items():
        ours.set(name, value.replace("%%", "%"))
    for name, value in gunicorn_settings().items():
        theirs.set(name, value)
    section.pop("workers")  # the number of cores there
    for name in section:
        assert ours.settings[name].get() == theirs.settings[name].get(), name


@pytest.mark.slow
def test_production_ini_loads(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    run(sys.executable, "-m", "aiohttp_worker", str(CONFIGS / "production.ini"), "--check-config", cwd=tmp_path, env=environ)


@pytest.mark.slow
def test_nginx(tmp_path: Path) -> None:
    run(tool("nginx"), "-t", "-p", str(tmp_path), "-c", str(CONFIGS / "nginx.conf"))


@pytest.mark.slow
def test_haproxy() -> None:
    run(tool("haproxy"), "-c", "-f", str(CONFIGS / "haproxy.cfg"))


def test_haproxy_does_not_hold_back_small_pieces() -> None:
    """In the defaults, hence for both sides."""
    _, _, defaults = (CONFIGS / "haproxy.cfg").read_text().partition("\ndefaults\n")
    assert "    option http-no-delay\n" in defaults.partition("\nfrontend ")[0]


def test_nobody_closes_a_connection_that_the_front_end_may_use() -> None:
    match = re.search(r"keepalive_timeout (\d+)s;", (CONFIGS / "nginx.conf").read_text())
    assert match
    assert int(match[1]) < gunicorn_settings()["keepalive"]
    match = re.search(r"timeout server (\d+)s\n", (CONFIGS / "haproxy.cfg").read_text())
    assert match
    assert int(match[1]) < gunicorn_settings()["keepalive"]


@pytest.mark.slow
def test_systemd(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    units = sorted((CONFIGS / "systemd").iterdir())
    for unit in units:
        # The command has to exist where the tool runs.
        text = unit.read_text().replace("/srv/application/venv/bin/gunicorn", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    assert run(analyze, "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)) == ""


def test_systemd_waits_longer_than_gunicorn() -> None:
    match = re.search(r"^TimeoutStopSec=(\d+)$", (CONFIGS / "systemd" / "gunicorn.service").read_text(), re.MULTILINE)
    assert match
    assert int(match[1]) > gunicorn_settings()["graceful_timeout"]


def test_dockerfile() -> None:
    run(tool("hadolint"), "--no-color", str(CONFIGS / "Dockerfile"))


def test_dockerfile_needs_no_root() -> None:
    text = (CONFIGS / "Dockerfile").read_text()
    users = re.findall(r"^USER (.*)$", text, re.MULTILINE)
    assert users[-1].isdigit() and int(users[-1]) > 0
    assert text.rindex("\nUSER") > text.rindex("\nRUN"), "nothing after USER needs rights"
    assert re.search(r"^CMD \[", text, re.MULTILINE), "a shell would take the signals"


@pytest.mark.slow
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes(path: Path) -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed")
    run(tool("kubernetes-validate"), "--strict", str(path))


def test_kubernetes_files_mean_the_same_pods() -> None:
    documents = manifests()
    deployment = documents["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert documents["Service"]["spec"]["selector"] == labels
    assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    target = documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"], "the autoscaler's number would be reset at each apply"
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert documents["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {(probe.get("httpGet") or probe.get("tcpSocket"))["port"] for probe in probes} == {port["name"]}


def test_kubernetes_agrees_with_gunicorn_and_the_image() -> None:
    spec = manifests()["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    settings = gunicorn_settings()
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > pause + settings["graceful_timeout"]
    dockerfile = (CONFIGS / "Dockerfile").read_text()
    assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in dockerfile
    assert f"USER {spec['securityContext']['runAsUser']}\n" in dockerfile
    assert settings["worker_tmp_dir"] in {mount["mountPath"] for mount in container["volumeMounts"]}
    environ = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environ["WEB_CONCURRENCY"] == container["resources"]["requests"]["cpu"]
