"""What can be checked in a sentence without a model: figures, names, code identifiers and content words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from assistant.figures import Figure, figures, kinds, same, scales
from ingest.words import STOPWORDS, stem

LONGEST_JOIN = 5  # pieces: "Llama 3.1 8B Instruct" for "Llama-3.1-8B-Instruct"

_MONTHS = "January February March April May June July August September October November December".split()
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_SHORT_MONTH = re.compile(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?(?=\s+\d)")
_LIST_MARK = re.compile(r"^\s*(?:[-*•>]|#{1,6}|\d{1,3}[.)])\s+", re.MULTILINE)
_IDENTIFIER = re.compile(
    r"""`(?P<code>[^`\s]+)`
    | (?<![\w$.-])(?:
        v?\d+(?:\.\d+){2,}                              # 5.23.0
      | --?[a-z]\w*(?:-\w+)+                            # --no-rerank
      | [A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+(?:\(\))?        # nn.Linear
      | [A-Za-z]*\w_\w+(?:\(\))?                        # min_samples_leaf
      | [A-Za-z]\w*\(\)                                 # fit()
      | [A-Za-z]+(?:-[A-Za-z]+)*[-‑]?\d(?:\w|[.-](?=\d))*  # GPT-4, Llama-3.1-8B, int8
      | [A-Za-z]*[a-z][A-Z]\w*                          # XGBoost
      )""",
    re.VERBOSE,
)
_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:[-‑'’][^\W\d_]+)*")
_PIECE = re.compile(r"[^\W_]+(?:\.[^\W_]+)*|[+#]+")
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_STARTS = re.compile(r"""(?:^|[:•\n|]\s*)["'“‘(*_]*(?=\w)""")
_OPENINGS = STOPWORDS | frozenset(
    """overall instead unlike compared given based since although though however besides next finally once within among
    across despite unless whether without today currently yes another every either neither several first second third
    thus hence therefore beyond use start try avoid choose train expect consider begin keep make take learn pick note
    remember think build run set write read follow apply check combine people someone anyone nobody everyone everything
    nothing something data code""".split()
)
_COMMON_ENDINGS = tuple("ing tion sion ment ness ity ance ence ism ly ship ery age s".split())
_VERB = re.compile(
    r"(?:is|are|was|were|has|had|have|can|could|will|would|does|did|may|might|should|must|\w+(?:s|ed))\b"
)
_PEOPLE = ("n", "an", "ian", "ese", "i", "ish")  # Japan, Japanese
_COUNTED_ALREADY = re.compile(r"\b(?:the|these|those|all|other|both)\s+$", re.IGNORECASE)


def normal(text: str) -> str:
    """The same words as they are compared: dates with the month's name, no list marks, no emphasis."""
    text = _ISO_DATE.sub(lambda match: f"{_MONTHS[int(match[2]) - 1]} {int(match[3])} {match[1]}", text)
    text = _SHORT_MONTH.sub(lambda match: next(name for name in _MONTHS if name.startswith(match[1][:3])), text)
    text = _LIST_MARK.sub("", text).replace("**", "").replace("\u00a0", " ").replace("\u202f", " ")
    return text.replace("’", "'").replace("per cent", "percent")


def content_words(text: str) -> list[str]:
    """The words that say something, in order, hyphenated ones in their parts."""
    words = (part for word in _WORD.findall(text) for part in re.split("[-‑]", word))
    return [word for word in words if _bare(word).lower() not in STOPWORDS and len(_bare(word)) > 1]


def stems(text: str) -> frozenset[str]:
    return frozenset(stem(_bare(word).lower()) for word in content_words(text))


@dataclass(frozen=True)
class Source:
    """What the cited units say, with what stands beside them: title, section, a table's header."""

    cited: str
    beside: str = ""

    @classmethod
    def of(cls, cited: Iterable[str], beside: Iterable[str] = ()) -> Source:
        return cls("\n".join(normal(text) for text in cited), "\n".join(normal(text) for text in beside))

    @cached_property
    def everything(self) -> str:
        return f"{self.beside}\n{self.cited}"

    @cached_property
    def figures(self) -> list[Figure]:
        """A table's header and a section's name hold figures too: `0-2 years`, `Salaries in 2026`."""
        return figures(self.everything)

    @cached_property
    def _mentioned(self) -> frozenset[str]:
        return kinds(self.everything)

    @cached_property
    def _scaled(self) -> tuple[float, ...]:
        return scales(self.beside)

    @cached_property
    def stems(self) -> frozenset[str]:
        words = _WORD.findall(self.everything)
        parts = [part for word in words for part in (*re.split("[-‑]", word), *_CAMEL.findall(word))]
        return frozenset(stem(_bare(part).lower()) for part in (*words, *parts))

    @cached_property
    def joined(self) -> frozenset[str]:
        """Runs of words and figures as they look without blanks, hyphens and underscores."""
        pieces = [piece.lower() for piece in _PIECE.findall(self.everything)]
        parts = {part for piece in pieces for part in piece.split(".")}
        return frozenset({"".join(run) for run in _runs(pieces)} | parts)

    @cached_property
    def initials(self) -> frozenset[str]:
        """`ml` for "machine learning"."""
        words = [part for word in _WORD.findall(self.everything) for part in re.split("[-‑]", word)]
        return frozenset("".join(word[0] for word in run).lower() for run in _runs(words) if len(run) > 1)

    @cached_property
    def acronyms(self) -> frozenset[str]:
        return frozenset(word.lower() for word in re.findall(r"\b[A-Z]{2,6}(?=s?\b)", self.everything))

    def is_figure(self, said: Figure, figure: Figure) -> bool:
        return same(said, figure, self._mentioned, self._scaled)

    def has_figure(self, said: Figure) -> bool:
        return any(self.is_figure(said, figure) for figure in self.figures)

    def has_name(self, name: str) -> bool:
        bare = _bare(name)
        if stem(bare.lower()) in self.stems or self.has_identifier(bare):
            return True
        if bare[0].isupper() and len(bare) > 4 and any(stem(f"{bare.lower()}{end}") in self.stems for end in _PEOPLE):
            return True
        return bool(re.fullmatch(r"[A-Z]{2,6}s?", bare)) and bare.rstrip("s").lower() in self.initials

    def has_identifier(self, identifier: str) -> bool:
        bare = "".join(piece.lower() for piece in _PIECE.findall(identifier.removesuffix("()")))
        return any(form in self.joined for form in (bare, bare.removesuffix("s"), f"{bare}s"))

    def lacks(self, sentence: str) -> tuple[str, ...]:
        """The figures, identifiers and names of the (normal) sentence that the source does not have."""
        identifiers = [match for match in _IDENTIFIER.finditer(sentence) if not _is_abbreviation(match)]
        rest = _without(sentence, (match.span() for match in identifiers))
        said = figures(rest)
        words = _without(rest, ((figure.start, figure.end) for figure in said))
        absent = [
            rest[figure.start : figure.end].strip()
            for figure in said
            if _must_stand(figure, rest) and not self.has_figure(figure)
        ]
        absent += [match.group() for match in identifiers if not self.has_identifier(match["code"] or match.group())]
        expanded = self._expanded(words)
        absent += [name for name in names(words) if not self.has_name(name) and name not in expanded]
        return tuple(dict.fromkeys(absent))

    def coverage(self, sentence: str) -> float:
        """The share of the sentence's content words, figures apart, that the source has."""
        sentence = _without(sentence, ((figure.start, figure.end) for figure in figures(sentence)))
        words = {_bare(word).lower(): word for word in content_words(sentence)}
        if not words:
            return 1.0
        expanded = {_bare(word).lower() for word in self._expanded(sentence) | self._hyphenated(sentence)}
        return sum(word in expanded or self.has_name(said) for word, said in words.items()) / len(words)

    def _expanded(self, sentence: str) -> set[str]:
        """The words of the sentence that the source has as an acronym."""
        words = [part for word in _WORD.findall(sentence) for part in re.split("[-‑]", word)]
        runs = (run for run in _runs(words) if len(run) > 1)
        return {word for run in runs if "".join(w[0] for w in run).lower() in self.acronyms for word in run}

    def _hyphenated(self, sentence: str) -> set[str]:
        """The parts of words that the source writes as one: `pre-trained` for `pretrained`."""
        words = (word.lower() for word in _WORD.findall(sentence) if re.search("[-‑]", word))
        whole = (word for word in words if stem(re.sub("[-‑]", "", word)) in self.stems)
        return {part for word in whole for part in re.split("[-‑]", word)}


def names(sentence: str) -> Iterator[str]:
    """Proper nouns: capitalised inside the sentence, acronyms anywhere, and a first word that stands as a name does."""
    starts = {match.end() for match in _STARTS.finditer(sentence)}
    for match in _WORD.finditer(sentence):
        bare = _bare(match.group())
        inside = match.start() not in starts or _is_subject(bare, sentence[match.end() :])
        proper = bare[0].isupper() and bare.lower() not in STOPWORDS and inside
        if proper or re.fullmatch(r"[A-Z]{2,}s?", bare):
            yield match.group()


def _is_subject(word: str, rest: str) -> bool:
    """A first word is a name if a verb follows it and it is none of the plain words that begin a sentence."""
    if word.lower() in _OPENINGS or word.lower().endswith(_COMMON_ENDINGS) or len(word) < 3:
        return False
    return bool(_VERB.match(rest.lstrip())) or rest.startswith("'s ")


def _must_stand(figure: Figure, sentence: str) -> bool:
    """ "One of them" counts nothing, and "these two" counts what was named before."""
    if not figure.in_words:
        return True
    return figure.value > 1 and not _COUNTED_ALREADY.search(sentence, 0, figure.start)


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Blanks where the spans were, so that offsets stay true."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _is_abbreviation(match: re.Match[str]) -> bool:
    """`U.S.` and `e.g.` look like `nn.Linear`."""
    return not match["code"] and bool(re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]?", match.group()))


def _runs(pieces: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(len(pieces)):
        for end in range(start + 1, min(start + LONGEST_JOIN, len(pieces)) + 1):
            yield pieces[start:end]


def _bare(word: str) -> str:
    return re.sub(r"['’]s?$", "", word)
