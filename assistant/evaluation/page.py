"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere; light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from assistant.evaluation.blocks import Block, Case, Heading, Picture, Table, Text
from assistant.plain import neutralise

_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c2024; --soft: #5a636c; --line: #dfe2e4; --card: #f3f4f2;
  --good: #1d6b3f; --bad: #a32a1d;
  --s0: #2458b3; --s1: #b3590b; --s2: #21774a; --s3: #83429d; --s4: #5c6670; --s5: #a12c4e; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181b; --ink: #e6e8ea; --soft: #a2abb3; --line: #32383d;
  --card: #1d2125; --good: #6fce97; --bad: #ff9184;
  --s0: #7fadff; --s1: #f2a65a; --s2: #6fce97; --s3: #cf9be8; --s4: #a6b0ba; --s5: #f58aa7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .75rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3rem 0 .75rem; } h3 { font-size: 1.02rem; margin: 2rem 0 .5rem; }
p { margin: .6rem 0 1rem; max-width: 76ch; color: var(--soft); }
.wide { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
thead th { background: var(--card); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 400; min-width: 9rem; }
.numbers td { white-space: nowrap; }
td small { color: var(--soft); font-size: .8rem; }
tr.group th { padding-top: 1rem; font-weight: 650; color: var(--soft); font-size: .78rem; letter-spacing: .04em;
  text-transform: uppercase; }
.better { color: var(--good); font-weight: 600; } .worse { color: var(--bad); font-weight: 600; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem;
  margin: 1.75rem 0; align-items: start; }
figure { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: 8px; }
figure h3 { margin: 0 0 .75rem; font-size: .95rem; }
figcaption { font-size: .84rem; color: var(--soft); margin-top: .6rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; } svg .label { fill: var(--ink); font-size: 13px; }
.grid { stroke: var(--line); fill: none; } .guide { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.dot { fill: var(--c); stroke: var(--paper); stroke-width: 1.5; } .bar { fill: var(--c); }
.whisker { stroke: var(--c); stroke-width: 1.5; fill: none; opacity: .75; }
.whisker.ink { stroke: var(--ink); opacity: .7; }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: .5rem; font-size: .8rem; }
.key::before { content: ""; display: inline-block; width: .75em; height: .75em; margin-right: .45em;
  border-radius: 2px; background: var(--c); }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
.s5 { --c: var(--s5); }
details { border-top: 1px solid var(--line); padding: .6rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
summary:focus-visible { outline: 2px solid var(--s0); outline-offset: 3px; border-radius: 3px; }
dl { display: grid; grid-template-columns: 7.5rem 1fr; gap: .35rem 1rem; margin: .8rem 0 .4rem; font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 540px) { main { padding: 1.5rem .9rem 3rem; } dl { grid-template-columns: 1fr; gap: .1rem; }
  dd { margin-bottom: .5rem; } h1 { font-size: 1.35rem; } th, td { padding: .4rem .55rem; }
  figure { padding: .8rem .6rem; }
  svg text { font-size: 17px; } svg .label { font-size: 17px; } svg .name { font-size: 16px; } }
@media print { details { break-inside: avoid; } }
"""


def page(title: str, found: Sequence[Block]) -> str:
    """All text is escaped here, but for the pictures' own markup."""
    parts = []
    for are_pictures, group in groupby(found, lambda block: isinstance(block, Picture)):
        inner = "\n".join(map(_block, group))
        parts.append(f'<div class="pictures">{inner}</div>' if are_pictures else inner)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{_text(title)}</h1>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{_text(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Picture):
        caption = f"<figcaption>{_text(block.caption)}</figcaption>" if block.caption else ""
        return f"<figure><h3>{_text(block.title)}</h3>{block.svg}{caption}</figure>"
    return _case(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.head)
    head = f"<thead><tr>{head}</tr></thead>" if any(table.head) else ""
    longest = max((len(cell) for row in table.rows for cell in row[1:]), default=0)
    kind = ' class="numbers"' if longest < 40 else ""
    body = "".join(_row(row, len(table.head)) for row in table.rows)
    return f'<div class="wide" tabindex="0"><table{kind}>{head}<tbody>{body}</tbody></table></div>'


def _row(row: Sequence[str], width: int) -> str:
    if len(row) == 1:
        return f'<tr class="group"><th colspan="{width}" scope="colgroup">{_text(row[0])}</th></tr>'
    return f'<tr><th scope="row">{_text(row[0])}</th>{"".join(map(_cell, row[1:]))}</tr>'


def _cell(cell: str) -> str:
    """A verdict in its colour, an interval smaller than its value."""
    if cell in ("better", "worse"):
        return f'<td class="{cell}">{cell}</td>'
    value, bracket, interval = cell.partition(" (")
    if bracket and interval.endswith(")") and len(cell) < 40:
        return f"<td>{_text(value)} <small>({_text(interval)}</small></td>"
    return f"<td>{_text(cell)}</td>"


def _case(case: Case) -> str:
    lines = "".join(f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in case.lines)
    return f"<details><summary>{_text(case.title)}</summary><dl>{lines}</dl></details>"


def _text(text: str) -> str:
    return escape(neutralise(text))
