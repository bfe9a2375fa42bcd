"""The quoting writer: no model. It answers with the source's own units, chosen and ordered so that they answer."""

from __future__ import annotations

from collections.abc import Iterator

from assistant.writers import Cite, Request, Stop, Text


class Quotes:
    name = "quotes"

    def write(self, request: Request) -> Iterator[Text | Cite | Stop]:
        for number, passage in enumerate(request.passages[:1]):
            for u, unit in enumerate(passage.units[:3]):
                yield Text(passage.text[unit.start - passage.start : unit.end - passage.start])
                yield Cite(((number, u),))
                yield Text(" ")
        yield Stop()
