"""Many clients at once before a running `footnote serve`: those that listen, those that read slowly, those that leave.

python -m venv load && load/bin/pip install locust
load/bin/locust -f tests/bench/doors.py --headless -u 50 -r 5 -t 30m --host http://localhost:8501

Memory: process_resident_memory_bytes of /metrics, before and after.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from locust import HttpUser, between, task

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "questions.jsonl"
QUESTIONS = [json.loads(line)["question"] for line in CORPUS.read_text("utf-8").splitlines()]
LONGEST = 300  # seconds that an answer may take


class Client(HttpUser):
    wait_time = between(20, 60)

    @task(10)
    def listens(self) -> None:
        self._stream("listens")

    @task(2)
    def reads_slowly(self) -> None:
        self._stream("reads slowly", pause=0.2)

    @task(2)
    def leaves(self) -> None:
        self._stream("leaves", most=1)

    @task(2)
    def asks_for_it_whole(self) -> None:
        self.client.post("/api/ask", json={"question": random.choice(QUESTIONS)}, name="whole", timeout=LONGEST)

    @task(1)
    def sends_nonsense(self) -> None:
        with self.client.post(
            "/v1/chat/completions", data=random.randbytes(200), name="nonsense", catch_response=True
        ) as reply:
            if 400 <= reply.status_code < 500:
                reply.success()
            else:
                reply.failure(f"status {reply.status_code}")

    def _stream(self, name: str, pause: float = 0.0, most: int = 0) -> None:
        asked = {"messages": [{"role": "user", "content": random.choice(QUESTIONS)}], "stream": True}
        with self.client.post(
            "/v1/chat/completions", json=asked, stream=True, name=name, catch_response=True, timeout=LONGEST
        ) as reply:
            last = ""
            for number, line in enumerate(reply.iter_lines(decode_unicode=True), 1):
                last = line or last
                time.sleep(pause)
                if number == most:
                    reply.success()
                    reply.close()
                    return
            if last != "data: [DONE]":
                reply.failure(f"it ended with {last[:200]!r}")
