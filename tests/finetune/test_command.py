from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields
from pathlib import Path

import pytest

from assistant.cli import main
from finetune.command import add_options, values
from finetune.recipe import Recipe


def parsed(*given: str) -> Recipe:
    parser = ArgumentParser()
    add_options(parser, Recipe)
    return Recipe(**values(parser.parse_args(["--base", "b", "--data", "d", "--out", "o", *given]), Recipe))


def test_the_recipes_defaults_are_the_command_lines() -> None:
    assert parsed() == Recipe(base="b", data=Path("d"), out=Path("o"))


def test_every_field_is_an_option_of_its_type() -> None:
    recipe = parsed(
        "--rank", "8", "--dropout", "0.1", "--targets", "q_proj, v_proj", "--no-quantise", "--packing", "off", "--cpu"
    )  # fmt: skip
    assert (recipe.rank, recipe.dropout, recipe.targets) == (8, 0.1, ("q_proj", "v_proj"))
    assert (recipe.quantise, recipe.packing, recipe.cpu) == (False, "off", True)


def test_the_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "train", "--help"])
    said = capsys.readouterr().out
    assert all("--" + field.name.replace("_", "-") in said for field in fields(Recipe))


def test_a_refusal_ends_the_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "train", "--base", "./nowhere", "--data", "d", "--out", "o"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("footnote: there is no base model at ./nowhere")
    assert said.err.count("\n") == 1
    assert said.out == ""
