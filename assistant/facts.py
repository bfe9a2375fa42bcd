"""What can be checked in a sentence without a model: figures, code identifiers and content words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from ingest.words import STOPWORDS, stem

# Figures in a form that can be compared: `$148K` is `$148,000`, `80 %` is `80 percent`, `three` is `3`. Pure.

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


LONGEST_JOIN = 5  # pieces: "Llama 3.1 8B Instruct" for "Llama-3.1-8B-Instruct"

_MONTHS = "January February March April May June July August September October November December".split()
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_SHORT_MONTH = re.compile(r"\b(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?(?=\s+\d)")
_IN_A_DATE = re.compile(  # "may" and "march" are words too
    rf"\b(?:{'|'.join(name for name in _MONTHS if name not in ('March', 'May'))})\b"
    r"|(?:(?<=\d )|(?<=[a-z] ))(?:March|May)\b|\b(?:March|May)(?= \d)"
)
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
        """The figures and identifiers of the (normal) sentence that the source does not have."""
        identifiers = [match for match in _IDENTIFIER.finditer(sentence) if not _is_abbreviation(match)]
        rest = _without(sentence, (match.span() for match in identifiers))
        said = figures(rest)
        absent = [
            rest[figure.start : figure.end].strip()
            for figure in said
            if _must_stand(figure, rest) and not self.has_figure(figure)
        ]
        absent += [month for month in _IN_A_DATE.findall(sentence) if not re.search(rf"\b{month}\b", self.everything)]
        absent += [match.group() for match in identifiers if not self.has_identifier(match["code"] or match.group())]
        return tuple(dict.fromkeys(absent))

    def unsaid(self, sentence: str) -> tuple[str, ...]:
        """The sentence's content words, figures apart, that the source does not have."""
        sentence = _without(sentence, ((figure.start, figure.end) for figure in figures(sentence)))
        expanded = {_bare(word).lower() for word in self._expanded(sentence) | self._hyphenated(sentence)}
        words = {_bare(word).lower(): word for word in content_words(sentence)}
        return tuple(word for key, word in words.items() if key not in expanded and not self.has_name(word))

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


# Ways in which a sentence can use its source's own words and figures and still say something else. Pure, no model.
#
# Each function returns what is wrong in a few words, or "". They see what the model that judges support is nearly blind
# to: figures that changed places, and some of the denials.

_CLAUSE = re.compile(
    r"[.;:!?—|\n](?=\s|$|\|)|,\s|\s[-–]\s"
    r"|\b(?:but|while|whereas|because|although|though|however|since|so|and|or|when|if|versus|vs)\b",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
_CUE = re.compile(r"not|no|never|without|cannot|nor|neither|hardly|unable|[a-z]+n['’]t", re.IGNORECASE)
_DENY_NOTHING = frozenset("only just merely matter doubt".split())  # after "not" or "no"
# They deny in other ways than by "not": enough to leave a clause alone.
_DENYING = frozenset(
    """avoid avoids avoiding prevent prevents preventing fail fails failed refuse refuses refused refusal lack lacks
    lacking incapable impossible unlike instead rather except unless until keep keeps stop stops few little rarely
    seldom""".split()
)
_PASSED_OVER = STOPWORDS | frozenset(
    """been did really yet longer necessarily usually typically often always simply even still actually generally quite
    ever now another merely fully completely only just""".split()
)
_LISTED = re.compile(r"(?:st|nd|rd|th|s)?\s*(?:,|and|or|to|-|–|/)\s*(?:and|or)?\s*", re.IGNORECASE)
_IN_ORDER = re.compile(r"\s*(?:to|→|->|/|-|–|—|and)\s*", re.IGNORECASE)

Words = frozenset[str]


def contradiction(sentence: str, source: Source) -> str:
    """The first that is found, in a few words, or "". Reason to doubt, no more: 28 % of what they find is honest."""
    return negated(sentence, source.cited) or swapped(sentence, source)


def negated(sentence: str, source: str) -> str:
    """What one denies and the other says, compared with the clause of the source that has most words in common."""
    theirs = list(_clauses(source))
    for clause in _clauses(sentence):
        for word in sorted(clause.stems):
            others = [other for other in theirs if word in other.stems]
            closest = max((len(clause.stems & other.stems) for other in others), default=0)
            if closest < min(2, len(clause.stems)):
                continue
            nearest = [other for other in others if len(clause.stems & other.stems) == closest]
            if word in clause.denied and not any(other.cues for other in nearest):
                return f"denies what the source says of “{_spelled(word, sentence)}”"
            if not clause.cues and all(word in other.denied for other in nearest):
                return f"leaves out the source's “not” before “{_spelled(word, sentence)}”"
    return ""


def _spelled(stemmed: str, text: str) -> str:
    return next((word for word in _SPELLED.findall(text) if stem(word.lower()) == stemmed), stemmed)


def swapped(sentence: str, source: Source) -> str:
    """A figure whose words the source binds to another figure: `70 % train` for `30 % train, 70 % test`."""
    if "respectively" in f"{sentence} {source.cited}".lower():
        return ""  # binds by position, which is not followed here
    ours, theirs = set(_pairs(sentence)), set(_pairs(source.cited))
    if any(first != last and (last, first) in theirs for first, last in ours - theirs):
        return "has the figures in the other order"
    if wrong := _counts_another(sentence, source):
        return wrong
    beside = stems("\n".join(line for line in source.beside.splitlines() if "|" not in line))
    bound = [binding for line in source.cited.splitlines() for binding in _bound(line, source.everything)]
    for figure, words in _bound(sentence):
        its = [other for other in bound if source.is_figure(figure, other[0])]
        rivals = [o for o in bound if not source.is_figure(figure, o[0]) and o[0].kind in {i[0].kind for i in its}]
        if not its or not rivals:
            continue
        telling = words - frozenset.intersection(*(other[1] for other in its + rivals))
        mine = max(len(telling & other[1]) for other in its)
        rival = max(len((telling - beside) & other[1]) for other in rivals)
        if rival > mine and (mine == 0 or "|" in source.cited):
            return f"“{sentence[figure.start : figure.end].strip()}” is another's figure in the source"
    return ""


def _counts_another(sentence: str, source: Source) -> str:
    """`32nd century` where the source has `17th century` and `32 provinces`."""
    theirs = [(figure, _following(source.cited, figure)) for figure in figures(source.cited)]
    for figure in figures(sentence):
        said = _following(sentence, figure)
        its = [words for other, words in theirs if source.is_figure(figure, other)]
        rivals = {words[0] for other, words in theirs if words and not source.is_figure(figure, other)}
        if said and said[0] in rivals and its and all(words and not set(words) & set(said) for words in its):
            return f"counts “{said[0]}” by another figure than the source"
    return ""


def _following(text: str, figure: Figure) -> list[str]:
    """The first two content words of the clause behind a figure, stemmed."""
    clause = _CLAUSE.split(text[figure.end :], maxsplit=1)[0]
    return [stem(word.lower()) for word in content_words(re.sub(r"^(?:st|nd|rd|th)\b", "", clause))[:2]]


@dataclass(frozen=True, slots=True)
class _Clause:
    stems: Words
    denied: Words  # the first word that counts after each "not"
    cues: int


def _clauses(text: str) -> Iterator[_Clause]:
    for clause in _CLAUSE.split(text):
        words = [word.lower() for word in _SPELLED.findall(clause)]
        after = [words[i + 1 :] for i, word in enumerate(words) if _CUE.fullmatch(word)]
        after = [rest for rest in after if not rest or (rest[0] not in _DENY_NOTHING and "until" not in rest)]
        telling = [word for word in words if word not in _PASSED_OVER and not _CUE.fullmatch(word)]
        heads = (next((word for word in rest if word in telling), next(iter(telling[::-1]), "")) for rest in after)
        denied = frozenset(stem(head) for head in heads if head)
        if kept := stems(clause) | denied:
            yield _Clause(kept, denied, len(after) + len(_DENYING.intersection(words)))


def _pairs(text: str) -> Iterator[tuple[float, float]]:
    """`from 70 % to 90 %`, `70/30`: figures whose order says something."""
    for first, last in pairwise(figures(text)):
        if _IN_ORDER.fullmatch(text, first.end, last.start):
            yield first.value, last.value


def _bound(line: str, everything: str = "") -> Iterator[tuple[Figure, Words]]:
    """Each figure with the words it belongs to: those of its clause, or of the nearest; its row's and column's."""
    if line.count("|") >= 2:
        yield from _bound_in_row(line, everything)
        return
    found = figures(line)
    listed = [(a.end, b.start) for a, b in pairwise(found) if _LISTED.fullmatch(line, a.end, b.start)]
    ends = (m.end() for m in _CLAUSE.finditer(line) if not any(a <= m.start() and m.end() <= b for a, b in listed))
    clauses = list(pairwise([0, *ends, len(line)]))
    words = [stems(line[a:b]) for a, b in clauses]
    for figure in found:
        at = next(i for i, (a, b) in enumerate(clauses) if a <= figure.start < b)
        before = next((words[i] for i in range(at, -1, -1) if words[i]), frozenset[str]())
        yield figure, words[at] or before | frozenset().union(*words[at : at + 2])


def _bound_in_row(row: str, everything: str) -> Iterator[tuple[Figure, Words]]:
    cells, header = _cells(row), _header(row, everything)
    label = frozenset().union(*(stems(cell) for cell in cells if not figures(cell)))
    for name, cell in zip(header, cells, strict=True):
        for figure in figures(cell):
            yield figure, label | stems(name) | stems(cell)


def _header(row: str, everything: str) -> list[str]:
    """The row of the same width with the fewest figures, if it has fewer than this one."""
    width, count = len(_cells(row)), len(figures(row))
    rows = [line for line in everything.splitlines() if line.count("|") >= 2 and len(_cells(line)) == width]
    best = min(rows, key=lambda line: len(figures(line)), default=row)
    return _cells(best) if len(figures(best)) < count else [""] * width


def _cells(row: str) -> list[str]:
    return row.strip().strip("|").split("|")
