"""A typed function whose signature is the command line: one option for each parameter, its default in one place."""

from __future__ import annotations

import inspect
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


def add_options(parser: ArgumentParser, function: Callable[..., Any]) -> None:
    """Parameters annotated `Annotated[type, "help"]` become options; the others are for Python only."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if get_origin(hints[name]) is not Annotated:
            continue
        kind, help_ = get_args(hints[name])[:2]
        required = parameter.default is inspect.Parameter.empty
        shown = (
            ""
            if required or parameter.default in (None, "", False, True)
            else f" (default: {_said(parameter.default)})"
        )
        options: dict[str, Any] = {"help": help_ + shown, "dest": name, "required": required}
        if not required:
            options["default"] = parameter.default
        if kind is bool:
            options["action"] = BooleanOptionalAction
        else:
            options |= {"type": _reader(kind), "metavar": _metavar(kind)}
            if get_origin(kind) is Literal:
                options["choices"] = get_args(kind)
        parser.add_argument("--" + name.replace("_", "-"), **options)


def values(args: Namespace, function: Callable[..., Any]) -> dict[str, Any]:
    """What was given for the function's parameters."""
    return {name: getattr(args, name) for name in inspect.signature(function).parameters if hasattr(args, name)}


def _reader(kind: Any) -> Callable[[str], Any]:
    if get_origin(kind) is tuple:
        return _names
    return kind if kind in (int, float, Path) else str


def _metavar(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return None
    return {int: "N", float: "X", Path: "DIR"}.get(kind, "NAME")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _said(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)
