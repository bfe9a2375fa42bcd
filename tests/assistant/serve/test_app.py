"""One process and one port for all doors: what it says when it starts, while it runs, and how it ends."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import main, parser
from assistant.records import SHOWN
from tests.assistant.loopback import as_events, as_json
from tests.assistant.loopback import serving as listening
from tests.assistant.serve.conftest import EGGS, ROOT, Served, fetch, serving


def test_page_and_all_doors_stand_on_one_port(served: Served) -> None:
    assert "Streamlit" in fetch(f"{served.url}/")[1]
    assert "Streamlit" in fetch(f"{served.url}/read?doc=bees.md")[1]
    assert fetch(f"{served.url}/_stcore/health") == (200, "ok")
    assert json.loads(fetch(f"{served.url}/ready")[1]) == {"status": "ready"}
    assert fetch(f"{served.url}/v1/models")[0] == 200
    assert len(json.loads(fetch(f"{served.url}/api/guides")[1])) == 3
    assert fetch(f"{served.url}/mcp")[0] in (400, 405, 406)  # a GET without a session: the protocol's own answer
    assert "/api/ask" in fetch(f"{served.url}/api/docs")[1]


def test_what_watches_over_it_reads_numbers_and_no_questions(served: Served) -> None:
    assert fetch(f"{served.url}/api/ask", {"question": EGGS})[0] == 200
    told = fetch(f"{served.url}/metrics")[1]
    assert 'footnote_questions_total{door="api",model="quotes",status="nearest"}' in told
    assert "footnote_answer_seconds_bucket" in told
    assert "process_resident_memory_bytes" in told
    log = served.log.read_text("utf-8")
    assert '"event": "answer", "door": "api", "model": "quotes", "status": "nearest"' in log
    assert "queen" not in log + told


def test_it_lets_answers_be_finished_and_takes_no_new_ones_when_it_is_told_to_stop(
    library: Path, tmp_path: Path
) -> None:
    words = ["The queen lays up to 2,000 eggs a day in early summer [1.2].", " ", " "]
    pieces: list[tuple[str, Any]] = [("", {"choices": [{"index": 0, "delta": {"content": word}}]}) for word in words]
    pieces += [("", {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}), ("", "[DONE]")]
    with listening() as model:
        known = as_json({"data": [{"id": "tiny"}]})
        model.answer = lambda asked: known if asked.path.endswith("/models") else as_events(pieces, pause=0.8)
        with serving(library, tmp_path, "--model", f"{model.url}/v1") as served:
            told: list[tuple[int, str]] = []
            asking = threading.Thread(target=lambda: told.append(fetch(f"{served.url}/api/ask", {"question": EGGS})))
            asking.start()
            for _ in range(600):
                if any("completions" in asked.path for asked in model.asked):
                    break
                time.sleep(0.1)
            assert served.stop() == 0
            asking.join(30)
    assert [status for status, _ in told] == [200]
    assert json.loads(told[0][1])["status"] in SHOWN
    assert "Traceback" not in served.log.read_text("utf-8")


def test_a_port_that_is_taken_is_said_in_one_line(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--address", "127.0.0.1", "--port", port, "--library", str(library)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "--port" in said[-1]
    assert len(said) == 2  # that it starts, and why it does not


README = (ROOT / "README.md").read_text("utf-8")
CURL = re.findall(r"^(curl .*?)(?:  +#.*)?$", README, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
@pytest.mark.parametrize("line", CURL)
def test_the_curl_lines_of_the_readme_work(served: Served, line: str) -> None:
    command = shlex.split(line.replace("localhost:8501", served.url.removeprefix("http://")))
    done = subprocess.run([*command, "--fail", "--silent"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "document" in done.stdout


def test_the_readmes_configuration_starts_a_command_that_there_is() -> None:
    (written,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (server,) = json.loads(written)["mcpServers"].values()
    assert parser().parse_args(server["args"]).library == "/path/to/library"
    assert len(CURL) >= 4
