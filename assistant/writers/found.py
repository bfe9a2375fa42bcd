"""What can write on this machine: a key in the environment, a chat server that answers, a folder of weights.

An address or a folder is taken from a visitor only where the page is this machine's own; others are given those that
whoever runs the server has listed in FOOTNOTE_WRITERS, with commas between them.
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from assistant.records import Passage, Request, Text, Writer, one_line
from ingest.chunks import Unit
from ingest.errors import FootnoteError

LISTED = "FOOTNOTE_WRITERS"
SERVERS = {"Ollama": 11434, "llama.cpp": 8080, "vLLM": 8000, "LM Studio": 1234}  # where they listen by themselves
FOLDERS = ("models", "tuning", "runs")  # in the current folder: where weights are looked for
MOST_MODELS = 8  # of one server
LOOK_SECONDS = 0.5  # for a server of this machine to answer
HOW = (
    "For fluent answers install Ollama (ollama.com) and let it fetch a model, or choose Claude and give a key"
    " (platform.claude.com)."
)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via", "cf-connecting-ip")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Found:
    """A writer that could be chosen: `name` as `--model` says it, `label` for people."""

    name: str
    label: str


def found(ports: Mapping[str, int] | None = None, folders: Sequence[Path] | None = None) -> list[Found]:
    """All that is there; servers are asked at the same time, so it takes half a second at most."""
    out = [Found("claude", "Claude, by the key in the environment")] if os.environ.get("ANTHROPIC_API_KEY") else []
    asked = [(f"{name} on this machine", f"http://127.0.0.1:{port}/v1") for name, port in (ports or SERVERS).items()]
    asked += [(urlsplit(url).netloc, url) for url in listed()]
    with ThreadPoolExecutor(len(asked)) as pool:
        for (label, url), models in zip(asked, pool.map(lambda one: _models(one[1]), asked), strict=True):
            out += [Found(f"{url}#{model}", f"{model}, {label}") for model in models[:MOST_MODELS]]
    for folder in [Path.cwd() / name for name in FOLDERS] if folders is None else folders:
        out += [Found(f"llama:{path}", f"{path.name}, weights in {folder.name}") for path in _weights(folder)]
    return out


def listed() -> list[str]:
    return [url.strip() for url in os.environ.get(LISTED, "").split(",") if url.strip()]


def _models(url: str) -> list[str]:
    """The names that a server lists; none where nobody answers, or something else does."""
    import httpx

    try:
        # An address of this machine: what the environment says of proxies is not for it. No redirect is followed.
        with httpx.Client(timeout=LOOK_SECONDS, trust_env=False) as client:
            reply = client.get(url.rstrip("/") + "/models")
        models = json.loads(reply.text)["data"] if reply.status_code == 200 else []
        return [one_line(str(model["id"]))[:100] for model in models]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return []


def _weights(folder: Path) -> list[Path]:
    """The folders in this one, or it, that hold a model."""
    if not folder.is_dir():
        return []
    places = [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]
    return [
        path
        for path in places
        if ((path / "config.json").is_file() and any(path.glob("*.safetensors")))
        or (path / "adapter_config.json").is_file()
    ]  # fmt: skip


# What a visitor may name.


def is_own(address: str | None, headers: Mapping[str, str]) -> bool:
    """Whether the page is this machine's own: served on loopback alone, and asked for without a proxy or a tunnel."""
    given = {name.lower(): value for name, value in headers.items()}
    host = urlsplit(f"//{given.get('host', '')}").hostname or ""
    plain = not any(name in given for name in _FORWARDED)
    return address in _LOOPBACK and plain and (not given or host in _LOOPBACK)


def refused(name: str, own: bool) -> str:
    """Why a visitor may not have this writer; nothing if he may."""
    if name.startswith(("http://", "https://")):
        return _refused_address(name, own)
    if name.startswith("llama:") and not own:
        return "Folders of this server can only be named by whoever sits at it"
    return ""


def _refused_address(url: str, own: bool) -> str:
    bare = url.split("#")[0].rstrip("/")
    if bare in [one.split("#")[0].rstrip("/") for one in listed()]:
        return ""
    try:
        host, port = urlsplit(url).hostname or "", urlsplit(url).port
    except ValueError:
        return f"{one_line(url)[:200]} is not an address"
    if host in _LOOPBACK and port in SERVERS.values():
        return ""  # it is among those that are found and shown
    if not own:
        return "Addresses can only be named by whoever runs this server"
    try:
        reserved = ipaddress.ip_address(host).is_link_local
    except ValueError:  # a name
        reserved = False
    return "That address is a network's own and serves no model" if reserved else ""


_TRIAL = "The queen of a hive lays 2,000 eggs a day."


def tried(writer: Writer) -> str:
    """Asks for a few words, and says in one line why none came; nothing if they did."""
    passage = Passage("trial.md", "Trial", "", 0, len(_TRIAL), _TRIAL, 1.0, (Unit(0, len(_TRIAL), "sentence"),))
    detail = "it answered nothing"
    try:
        events = writer.write(Request("How many eggs does the queen lay a day?", (passage,)))
        for event in events:
            if isinstance(event, Text) and event.text.strip():
                return ""
            detail = getattr(event, "detail", "") or detail
    except FootnoteError as error:
        detail = str(error)
    except Exception as error:  # noqa: BLE001  # whatever somebody's server or weights raise is the answer
        detail = f"{type(error).__name__}: {error}"
    return one_line(detail)[:300]
