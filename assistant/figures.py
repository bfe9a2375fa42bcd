"""Figures in a form that can be compared: `$148K` is `$148,000`, `80 %` is `80 percent`, `three` is `3`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

_CURRENCIES = "$ usd dollar dollars|€ eur euro euros|£ gbp pound pounds|₹ inr rs rupee rupees|¥ jpy yen"
_UNITS = (
    "% percent pct|x × times fold|lakh lakhs lpa|crore crores|bit bits|byte bytes|kb kilobytes|mb megabytes"
    "|gb gigabyte gigabytes|tb terabyte terabytes|ms millisecond milliseconds|second s sec secs seconds"
    "|minute min mins minutes|hour h hr hrs hours|day days|week weeks|month months|year years yr yrs|epoch epochs"
    "|layer layers|parameter parameters param params|token tokens"
)
_CURRENCY = {word: group.split()[0] for group in _CURRENCIES.split("|") for word in group.split()}
_UNIT = {word: group.split()[0] for group in _UNITS.split("|") for word in group.split()}
_POWERS = {
    word: power
    for power, words in (
        (2, "hundred"),
        (3, "k thousand"),
        (6, "m mn million"),
        (9, "b bn billion"),
        (12, "t trillion"),
    )
    for word in words.split()
}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen".split()
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = (
    {"both": 2}
    | {word: value for value, word in enumerate(_SMALL)}
    | {word: 10 * value for value, word in enumerate(_TENS, 2)}
    | {f"{ten}-{one}": 10 * i + j for i, ten in enumerate(_TENS, 2) for j, one in enumerate(_SMALL[1:10], 1)}
)
_FIGURE = re.compile(
    rf"""(?P<sign>(?<![\w)\].])[-−](?=[$€£₹¥]?\d))?
    (?:(?P<currency>[$€£₹¥]|\b(?:usd|eur|gbp|inr|rs)\b\.?)\s?)?
    (?P<number>(?<![\w.])(?:{"|".join(sorted(_WORDS, key=len, reverse=True))})\b(?!-(?:shot|hot|off)\b)
      |(?<![\d.])(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?))
    (?:(?P<scale>(?-i:\s?[KMB]|[kTmbt]|mn|bn)|[\s-]?(?:hundred|thousand|million|billion|trillion|mn|bn))(?!\w))?
    \+?(?P<tail>[\s-]?(?P<unit>[%×$€£₹](?!\d)|[a-z]+(?!\w)))?""",
    re.VERBOSE | re.IGNORECASE,
)
_RANGE = ("-", "–", "—", "to", "through")
_SCALE_ABOVE = re.compile(
    r"[($€£₹,]\s*(k|thousands?|m|millions?|b|billions?)\s*\)|\bin (thousand|million|billion)s\b", re.I
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its scale multiplied out; `text[start:end]` is how it was written."""

    value: float
    currency: str  # "" where none is given, as with `unit`
    unit: str
    start: int
    end: int
    scale: float = 1.0  # what was multiplied out
    in_words: bool = False

    @property
    def kind(self) -> str:
        """What it could be mistaken for: money for money, a year for a year."""
        plain = not (self.currency or self.unit or self.in_words or self.scale != 1.0)
        return "in the year" if plain and 1500 <= self.value < 2100 else self.currency or self.unit


def figures(text: str) -> list[Figure]:
    """In order. The ends of a range share scale and unit: `$130-160K` is 130,000 and 160,000 dollars."""
    found = [_figure(match) for match in _FIGURE.finditer(text)]
    for i, (first, last) in enumerate(pairwise(found)):
        if _is_range(text, first, last):
            scale = last.scale if first.scale == 1.0 and abs(first.value) < 1000 else 1.0
            currency, unit = first.currency or last.currency, first.unit or last.unit
            found[i] = replace(first, value=first.value * scale, currency=currency, unit=unit)
            found[i + 1] = replace(last, currency=last.currency or currency)
    return found


def kinds(text: str) -> frozenset[str]:
    """The currencies and units that a text mentions anywhere, such as a table's header with `Pay ($)`."""
    words = re.findall(r"[a-z]+|[%$€£₹¥×]", text.lower())
    return frozenset(kind for word in words if (kind := _CURRENCY.get(word) or _UNIT.get(word)))


def scales(header: str) -> tuple[float, ...]:
    """What a header such as `Pay ($K)` or `in millions` says that the figures below are to be multiplied by."""
    words = ((match[1] or match[2]).lower() for match in _SCALE_ABOVE.finditer(header))
    return tuple(10.0 ** _POWERS[word if word in _POWERS else word.rstrip("s")] for word in words)


def same(said: Figure, source: Figure, mentioned: frozenset[str], scaled: Sequence[float] = ()) -> bool:
    """Whether a figure of an answer is this one of the source, which has the units `mentioned` beside it."""
    if said.value not in (source.value, *(source.value * scale for scale in scaled)):
        fraction, percent = sorted((said, source), key=lambda figure: figure.unit == "%")
        as_percent = percent.unit == "%" and not (fraction.currency or fraction.unit) and 0 < fraction.value < 1
        return as_percent and abs(fraction.value * 100 - percent.value) < 1e-9
    if said.currency != source.currency and said.currency and (source.currency or said.currency not in mentioned):
        return False
    if said.unit == source.unit:
        return True
    if said.unit:
        return not source.unit and said.unit in mentioned
    return source.unit not in ("%", "x")


def _figure(match: re.Match[str]) -> Figure:
    number, word = match["number"].lower(), (match["unit"] or "").lower()
    in_words = number in _WORDS
    scale = 10.0 ** _POWERS.get((match["scale"] or "").strip(" -").lower(), 0)
    value = (_WORDS[number] if in_words else float(number.replace(",", ""))) * (-scale if match["sign"] else scale)
    decade = word == "s" and re.fullmatch(r"\d{3}0s", number + match["tail"])
    unit, currency = "decade" if decade else _UNIT.get(word, ""), _CURRENCY.get(word, "")
    before = (match["currency"] or "").lower().rstrip(".")
    end = match.start("tail") if match["tail"] and not (unit or currency) else match.end()
    return Figure(float(f"{value:.12g}"), _CURRENCY.get(before, currency), unit, match.start(), end, scale, in_words)


def _is_range(text: str, first: Figure, last: Figure) -> bool:
    before, joined = text[: first.start].rstrip(), text[first.end : last.start].strip().lower()
    if re.search(r"[A-Za-z]-?$", text[: first.start]):
        return False  # Llama-3.1-8B
    return joined in _RANGE or (joined == "and" and before.lower().endswith("between"))
