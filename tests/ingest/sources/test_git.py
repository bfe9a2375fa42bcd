from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ingest.errors import FootnoteError
from ingest.library import Library
from ingest.sources import is_fetched, source_of
from ingest.sources.places import at_commit
from ingest.sync import Report, sync
from tests.fakes import BagOfWords

CODE = '''"""How steps are taken.

The rate is halved when the loss stands still.
"""


class Stepper:
    """Takes steps down a slope."""

    def step(self, rate: float) -> float:
        """Move by one step.

        Args:
            rate: how far a step goes
        """
        # Without a floor the steps
        # would vanish after a while.
        return max(rate, 1e-6)
'''


def git(folder: Path, *command: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *who, *command], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    (folder / "docs").mkdir(parents=True)
    (folder / ".github").mkdir()
    git(folder, "init", "-q")
    (folder / "README.md").write_text("# Steps\n\nHow to take steps down a slope.\n")
    (folder / "docs" / "rates.md").write_text("# Rates\n\nA rate of 0.1 is large.\n\nA rate of 0.001 is small.\n")
    (folder / "steps.py").write_text(CODE)
    (folder / "fast.js").write_text("// Steps in a browser\nfunction step(rate) { return rate }\n")
    (folder / "docs" / "curve.png").write_bytes(b"a figure, which no pattern asks for")
    (folder / ".github" / "README.md").write_text("# Hidden\n\nFor the machine.")
    (folder / "big.pdf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (folder / "outside.md").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def fetch(place: Path, repository: Path, **options: object) -> Report:
    return sync([source_of(f"git+{repository.as_uri()}", **options)], place, embedder=BagOfWords())  # type: ignore[arg-type]


def test_a_repository_is_its_guides_and_what_its_python_says_at_a_commit(repository: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    report = fetch(place, repository)
    library = Library(place)
    assert library.paths() == ["steps/README.md", "steps/docs/rates.md", "steps/steps.py"]
    assert [(f.file, "Git LFS" in f.reason) for f in report.failed] == [("steps/big.pdf", True)]
    commit = git(repository, "rev-parse", "HEAD")
    rates = library.text("steps/docs/rates.md")
    start = rates.index("A rate of 0.001")
    address = library.address("steps/docs/rates.md", start, start + len("A rate of 0.001 is small."))
    assert address == f"git+{repository.as_uri()}@{commit}#docs/rates.md:5-5"


def test_docstrings_and_comments_lead_to_their_lines(repository: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    fetch(place, repository)
    library = Library(place)
    text = library.text("steps/steps.py")
    for quoted, lines in {
        "The rate is halved when the loss stands still.": "3-3",
        "Takes steps down a slope.": "8-8",
        "- rate: how far a step goes": "14-14",
        "Without a floor the steps would vanish after a while.": "16-17",
        "def step(self, rate: float) -> float:": "10-10",
    }.items():
        start = text.index(quoted)
        assert library.address("steps/steps.py", start, start + len(quoted)).endswith(f"#steps.py:{lines}")
    sections = {chunk.section for chunk in library.chunks(library.select()).values()}
    assert any("Stepper.step" in section for section in sections)


def test_patterns_choose_files_other_code_among_them(repository: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "docs", repository, include=["docs/**"])
    assert Library(tmp_path / "docs").paths() == ["steps/docs/rates.md"]
    fetch(tmp_path / "code", repository, include=["*.js"])
    assert Library(tmp_path / "code").paths() == ["steps/fast.js"]
    report = fetch(tmp_path / "none", repository, include=["nothing/**"])
    assert "--include" in report.failed[0].reason


def test_a_new_commit_is_taken_up_and_unchanged_files_lead_to_it_too(repository: Path, tmp_path: Path) -> None:
    place = tmp_path / "library"
    fetch(place, repository)
    assert fetch(place, repository).unchanged == 3
    (repository / "docs" / "rates.md").unlink()
    (repository / "README.md").write_text("# Steps\n\nHow to take long steps.\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "second")
    report = fetch(place, repository)
    assert (report.changed, report.removed, report.unchanged) == (["steps/README.md"], ["steps/docs/rates.md"], 1)
    second = git(repository, "rev-parse", "HEAD")
    assert all(second in address for address, _ in Library(place).origins(Library(place).paths()).values())
    first = fetch(tmp_path / "old", repository, ref=git(repository, "rev-parse", "HEAD~1"))
    assert len(first.added) == 3


@pytest.mark.parametrize(
    ("address", "options", "said"),
    [
        ("git+file:///nowhere/at/all", {}, "/nowhere/at/all"),
        ("{}", {"ref": "no-such-branch"}, "no-such-branch"),
        ("{}", {"ref": "--upload-pack=touch owned"}, "no branch"),
        ("git+ext::touch owned", {}, "ext::"),
        ("https://localhost/steps.git", {}, "--allow-private"),
        ("git@localhost:steps.git", {}, "--allow-private"),
        ("ssh://git@127.0.0.1/steps.git", {}, "--allow-private"),
        ("git+git://example.org/steps.git", {}, "https, http or ssh only"),
    ],
)
def test_what_cannot_be_fetched_is_one_line_that_names_it(
    address: str, options: dict[str, str], said: str, repository: Path, tmp_path: Path
) -> None:
    given = address.format(f"git+{repository.as_uri()}")
    report = sync([source_of(given, **options)], tmp_path / "library", embedder=BagOfWords())  # type: ignore[arg-type]
    (failure,) = report.failed
    assert said in failure.reason
    assert "\n" not in failure.reason
    assert not list(Path.cwd().rglob("owned"))


def test_hooks_and_filters_of_a_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitattributes").write_text("*.md filter=evil\n")
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    hook.chmod(0o755)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "evil")
    assert len(fetch(tmp_path / "library", repository).added) == 3
    assert not (tmp_path / "owned").exists()


C = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("repository_at", "shown"),
    [
        ("https://github.com/o/r.git", f"https://github.com/o/r/blob/{C}/docs/a%20b.md"),
        ("git@github.com:o/r.git", f"https://github.com/o/r/blob/{C}/docs/a%20b.md"),
        ("https://user:secret@github.com/o/r", f"https://github.com/o/r/blob/{C}/docs/a%20b.md"),
        ("https://gitlab.com/g/s/r.git", f"https://gitlab.com/g/s/r/-/blob/{C}/docs/a%20b.md"),
        ("https://codeberg.org/o/r.git", f"https://codeberg.org/o/r/src/commit/{C}/docs/a%20b.md"),
        ("https://git.example.org/r.git", f"git+https://git.example.org/r.git@{C}#docs/a%20b.md"),
    ],
)
def test_a_file_is_shown_at_its_commit_by_the_pages_of_well_known_hosts(repository_at: str, shown: str) -> None:
    assert at_commit(repository_at, C, "docs/a b.md") == shown


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("https://github.com/o/r.git", "git"),
        ("git@github.com:o/r.git", "git"),
        ("ssh://git@example.org/r", "git"),
        ("git+https://example.org/r", "git"),
        ("https://example.org/a.html", "page"),
    ],
)
def test_an_address_is_known_for_what_it_is(given: str, kind: str) -> None:
    assert is_fetched(given)
    assert source_of(given).kind == kind


def test_a_page_has_no_branch() -> None:
    with pytest.raises(FootnoteError, match="no repository"):
        source_of("https://example.org/", ref="main")
