"""The wheel: what is in it, and that it runs away from the repository. And what a shell completes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from assistant.cli import main, parser

ROOT = Path(__file__).resolve().parents[1]
GUIDE = "# Dropout\n\nDropout helps because no unit can rely on another one.\n"
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "-n"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the project's own backend, from a copy: what builds a wheel leaves folders behind."""
    copy = tmp_path_factory.mktemp("source") / "footnote"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info", "library", "runs", "node_modules")
    shutil.copytree(ROOT, copy, ignore=left_out)
    shutil.copy(ROOT / "corpus" / ".footnoteignore", copy / "corpus")
    build = "from setuptools import build_meta; print(build_meta.build_wheel('..'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return copy.parent / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Unpacked, as pip does it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


def test_a_wheel_puts_three_packages_into_a_place_that_it_shares_and_nothing_else(installed: Path) -> None:
    metadata = next(installed.glob("footnote-*.dist-info")).name
    assert {path.name for path in installed.iterdir()} == {"assistant", "ingest", "finetune", metadata}


def test_a_wheel_has_all_that_is_read_at_run_time_and_no_tests(installed: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    ours = {file for file in tracked if file.split("/")[0] in ("assistant", "ingest", "finetune")}
    there = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert len(ours) > 100
    assert ours <= there
    starter = {file for file in there - ours if not file.startswith("footnote-")}
    guides = {f"assistant/starter/{file}" for file in tracked if file.startswith("corpus/guides/")}
    more = {"app.py", "corpus/README.md", "corpus/.footnoteignore"}
    assert starter == guides | {f"assistant/starter/{name}" for name in more}


def test_a_wheel_runs_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "guides").mkdir()
    (tmp_path / "guides" / "dropout.md").write_text(GUIDE)
    home = f"import assistant; assert assistant.__file__.startswith({str(installed)!r}), assistant.__file__\n"

    def footnote(*arguments: str) -> str:
        code = f"{home}import sys; sys.argv = ['footnote', *{arguments!r}]; sys.exit(assistant.main())"
        return ran(code)

    def ran(code: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(installed), "FOOTNOTE_LIBRARY": "library"}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert footnote("--version") == f"footnote {version}\n"
    page = f"""{home}
from streamlit.testing.v1 import AppTest
from streamlit import config
config.set_option("server.address", "localhost")
app = AppTest.from_file(str(assistant.beside("app.py")), default_timeout=60).run()
assert not app.exception, app.exception
print(*(button.label for button in app.button), assistant.beside("corpus"))
"""
    assert f"{installed}/assistant/starter/corpus" in (said := ran(page))
    assert "Read the starter guides" in said
    assert "1 added" in footnote("ingest", "guides")
    assert "no unit can rely on another one" in footnote("ask", "Why does dropout help?")


def commands(below: object) -> Iterator[str]:
    """Every name that may stand behind `footnote`, and behind that."""
    for action in getattr(below, "_actions", ()):
        for name, inner in (action.choices or {}).items() if action.__class__.__name__ == "_SubParsersAction" else ():
            if getattr(inner, "fill", None):
                fill, inner.fill = inner.fill, None
                fill(inner)
            yield name
            yield from commands(inner)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shells_script_knows_every_command_and_the_shell_can_read_it(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    names = set(commands(parser()))
    assert {"ingest", "token", "remove", "finetune", "merge", "evaluate", "completion"} <= names
    assert names <= set(re.findall(r"[\w-]+", script))
    assert {"site", "no-rerank", "base-url", "mlflow"} <= set(re.findall(r"[\w-]+", script.replace("--", " ")))
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        checked = subprocess.run([*SHELLS[shell], "script"], cwd=tmp_path, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_completes_a_command_and_an_options_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    asked = """
COMP_WORDS=(footnote fine); COMP_CWORD=1; _shtab_footnote footnote fine footnote; echo "${COMPREPLY[@]}"
COMP_WORDS=(footnote ingest --si); COMP_CWORD=2; _shtab_footnote footnote --si ingest; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(["bash", "-c", script + asked], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["finetune", "--site"], done.stderr


# The image: what its files say is held against the project; building and running it takes an engine and minutes.

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_what_the_image_is_built_from_has_all_that_a_wheel_is_made_of() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = {"pyproject.toml", "setup.py", "constraints.txt", "app.py", "corpus", project["project"]["readme"]}
    assert needed | packages | set(project["project"]["license-files"]) == let_in
    assert all((ROOT / name).exists() for name in let_in)


def test_every_service_runs_as_nobody_in_particular_on_a_root_that_is_read_only() -> None:
    assert re.search(r"^USER footnote$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.rindex("USER footnote") > DOCKERFILE.rindex("RUN ")
    assert {"footnote", "ingest", "chroma"} == set(COMPOSE["services"])
    for service in COMPOSE["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_what_compose_and_the_image_start_are_commands_that_there_are() -> None:
    services = COMPOSE["services"]
    lines = [services[name]["command"] for name in ("footnote", "ingest")]
    lines.append(json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]))
    for line in lines:
        parser().parse_args(line)
    assert [line[0] for line in lines] == ["serve", "ingest", "serve"]
    assert services["chroma"]["entrypoint"][0] == "chroma"
