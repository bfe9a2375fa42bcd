"""Text as the terms that full-text search matches: stemmed words, code identifiers, figures, abbreviations.

The same function runs over documents and questions, so whatever it does to one it does to the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(
    r"""(?P<figure>(?<![\w.])[$€£]?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|percent\b|thousand\b|million\b|billion\b|trillion\b)|[kmbt]n?\b)?)
      | (?P<word>[^\W\d_]\w*(?:[._'’\-/]\w+)*|_\w+|\d\w*)""",
    re.VERBOSE | re.IGNORECASE,
)
_SCALE = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "t": 12, "trillion": 12}
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_POSSESSIVE = re.compile(r"['’]s\b")
_PARTS = re.compile(r"[._'’\-/]+")
_SHORT_FORM = re.compile(r"\(([A-Z][A-Za-z]{0,2}[A-Z]s?|[A-Z]{2,8}s?)\)")

# Words that say how something is asked, not what is asked about.
STOPWORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but
    by can could did do does doing don down during each few for from further had has have having he her here hers
    him his how i if in into is isn it its itself just let me more most my no nor not now of off on once only or
    other our out over own please s same say says she should so some such t tell than that the their them then
    there these they this those through to too under until up us very was we were what when where which while who
    whom why will with would you your yours vs versus according guide guides many much""".split()
)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


# British and American spellings become one, in guides and in questions: "optimizer" and "optimiser" would else share
# nothing. An s stands for both, since the stemmer makes "tokenizer" a token and "normalization" normal, and of the
# words with an s it does not.
_SPELLINGS = (
    (re.compile(r"(?<=[a-z]{3})iz(?=(?:e[drs]?|ers|ing|able|ations?)$)"), "is"),
    (re.compile(r"(?<=[a-z]aly)z(?=(?:e[drs]?|ers|ing)$)"), "s"),
    (re.compile(r"(?<=[a-z]{3})our(?=(?:s|ed|ing|al|able|hood)?$)"), "or"),
    (re.compile(r"(?<=[a-z]en)tre(?=s?$)"), "ter"),
)


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    for one, other in _SPELLINGS:
        word = one.sub(other, word)
    return str(_stemmer().stemWord(word))


def terms(text: str) -> list[str]:
    """The terms of a text, in order, with an identifier's parts beside its whole."""
    return [term for match in _tokens(text) for term in _of(match)]


def content_terms(question: str) -> list[str]:
    """The terms that say what a question is about, each once; all of them where it has only stopwords."""
    shouting = question.isupper()
    content = [term for match in _tokens(question) if not _is_stopword(match.group(), shouting) for term in _of(match)]
    return list(dict.fromkeys(content or terms(question)))


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return _TOKEN.finditer(_POSSESSIVE.sub("", unicodedata.normalize("NFKC", text)))


def _is_stopword(word: str, shouting: bool) -> bool:
    """`US` is a country where `us` is not."""
    return word.lower() in STOPWORDS and (shouting or len(word) == 1 or not word.isupper())


def _of(match: re.Match[str]) -> Iterator[str]:
    if match.group("figure"):
        yield figure(match.group())
        return
    word = match.group()
    parts = [piece for part in _PARTS.split(word) for piece in part.split("_") if piece]
    if len(parts) > 1:
        yield stem("".join(parts).lower()) if "_" not in word else re.sub(r"[^\w]", "", word).lower()
    for part in parts:
        camel = _CAMEL.findall(part)
        yield stem(part.lower())
        if len(camel) > 1 and not part.isupper() and not part[1:].islower() and len(part) > 4:
            yield from (stem(piece.lower()) for piece in camel if len(piece) > 1)


def is_slip(typed: str, meant: str) -> bool:
    """One letter too many or too few, or two the wrong way round: `pytroch`. No other letter: `replay`, `replace`."""
    i = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    turned = typed[i + 1 : i + 2] + typed[i : i + 1] + typed[i + 2 :]
    return meant[i:] in (typed[i + 1 :], turned) or meant[i + 1 :] == typed[i:]


def figure(text: str) -> str:
    """`$148K`, `148,000` and `148 thousand` are one term; so are `80 %` and `80 percent`."""
    match = re.fullmatch(r"[$€£]?([\d,]+(?:\.\d+)?)\s*([a-z%]*)", text.lower().strip())
    if not match:
        return re.sub(r"\W", "", text.lower())
    number, unit = match.group(1).replace(",", ""), match.group(2)
    if unit in ("%", "percent"):
        return number.replace(".", "d") + "pct"
    if unit in _SCALE:
        whole, _, part = number.partition(".")  # by its digits: a figure of any length is exact
        number = (whole + part.ljust(_SCALE[unit], "0")[: _SCALE[unit]]).lstrip("0") or "0"
    return number.replace(".", "d")


def short_forms(text: str) -> Iterator[tuple[str, str]]:
    """`Retrieval-Augmented Generation (RAG)` yields `("RAG", "Retrieval Augmented Generation")`."""
    for match in _SHORT_FORM.finditer(text):
        short = match.group(1).rstrip("s")
        before = re.findall(r"[A-Za-z]+", text[max(0, match.start() - 120) : match.start()])
        words = before[-len(short) :]
        if len(words) == len(short) and all(w[0].lower() == c.lower() for w, c in zip(words, short, strict=True)):
            yield short, " ".join(words)
