"""What helps where the guides do not answer: a slip mended, the guides' languages told, questions that they do answer.

Questions are drawn from the guides' own headings, and those that are offered are tried first.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from assistant.records import neutralise
from ingest.words import stem, terms

if TYPE_CHECKING:
    from assistant.records import Passage
    from ingest.chunks import Chunk
    from ingest.library import Library

# A word that stands nowhere in the library, and what was meant by it: asked about only where it is clear.

SHORTEST_BEGUN = 5  # letters of a word that may stand for a longer one: "backprop"
SHORTEST_WRONG = 7  # letters of a word in which one may be wrong; in one of ten or more, two
USUAL = -6.0  # one word in a million, as a power of ten: what is written so often is no slip, "bread" not of "breadth"
_WORD = re.compile(r"[^\W\d_]+")


def mended(library: Library, question: str, unknown: Sequence[str]) -> str:
    """The question with its unknown terms as they were meant; as it is where that is not clear."""
    meant = {term: word for term in unknown if (word := _meant(library, term))}

    def put(found: re.Match[str]) -> str:
        word = found.group()
        return word if _usual(word, "en") >= USUAL else meant.get(stem(word.lower()), word)

    return _WORD.sub(put, question) if meant else question


def _meant(library: Library, term: str) -> str:
    """The library's word that this one begins or misspells, spelled as its guides do; nothing if several fit."""
    if len(term) < SHORTEST_BEGUN or not term.isalpha():
        return ""
    near = library.rows(
        "SELECT term FROM vocabulary WHERE term >= ? AND term < ? ORDER BY doc DESC",
        term[:2],
        term[0] + chr(ord(term[1]) + 1),
    )
    words = [word for (word,) in near if word.isalpha()]
    begun = [word for word in words if word.startswith(term)]
    if begun and all(word.startswith(begun[0]) or begun[0].startswith(word) for word in begun):
        return _spelled(library, begun[0])
    wrong = [word for word in words if len(term) >= SHORTEST_WRONG and _apart(term, word) <= 1 + (len(term) >= 10)]
    return _spelled(library, wrong[0]) if len(wrong) == 1 else ""


def _apart(one: str, other: str) -> int:
    """How many letters have to be changed, added or left out (Levenshtein); 3 stands for more."""
    if abs(len(one) - len(other)) > 2:
        return 3
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return min(3, row[-1])


def _spelled(library: Library, term: str) -> str:
    """A word of the guides whose stem this is: stems are no words to show anybody."""
    found = library.chunks([i for i, _ in library.match([term], 1)])
    words = (word.group() for c in found.values() for word in _WORD.finditer(f"{c.text} {c.section}"))
    return next((word.lower() for word in words if stem(word.lower()) == term), "")


# Languages: which one a question is in, and which ones the guides are in.

_LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
              "nl": "Dutch", "pl": "Polish", "sv": "Swedish", "ru": "Russian", "tr": "Turkish", "zh": "Chinese",
              "ja": "Japanese", "ar": "Arabic", "ko": "Korean"}  # fmt: skip
_SCRIPTS = ((r"[\u3040-\u30ff]", "ja"), (r"[\uac00-\ud7af]", "ko"), (r"[\u4e00-\u9fff]", "zh"),
            (r"[\u0400-\u04ff]", "ru"), (r"[\u0600-\u06ff]", "ar"))  # fmt: skip
_LATIN = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "tr")
CLEARLY = 0.9  # powers of ten by which the words have to be more usual in another language, on the mean
SAMPLED = 40  # guides that are looked at
SAMPLE_CHARACTERS = 600


def language(text: str, own: Sequence[str] = ("en",)) -> str:
    """The language that the words are most usual in; one of our own unless another clearly fits better."""
    if script := next((code for pattern, code in _SCRIPTS if len(re.findall(pattern, text)) > len(text) / 4), ""):
        return script
    fit = {code: _usual(text, code) for code in _LATIN}
    home = max((code for code in own if code in fit), key=lambda code: fit[code], default="")
    best = max(fit, key=lambda code: fit[code])
    return best if not home or fit[best] >= fit[home] + CLEARLY else home


def _usual(text: str, code: str) -> float:
    """How usual the words are in this language, as a power of ten."""
    from wordfreq import word_frequency

    words = [word.group().lower() for word in _WORD.finditer(text)]
    each = [math.log10(max(word_frequency(word, code, wordlist="small"), 1e-8)) for word in words]
    return sum(each) / len(each) if each else 0.0


@lru_cache(maxsize=2)
def languages(library: Library, generation: int) -> tuple[str, ...]:
    """The guides' languages, the most frequent first, as one sees in their beginnings."""
    paths = library.paths()
    counted = Counter(
        language(library.text(path)[:SAMPLE_CHARACTERS]) for path in paths[:: max(1, len(paths) // SAMPLED)]
    )
    return tuple(code for code, _ in counted.most_common())


def other_language(library: Library, question: str) -> str:
    """One sentence where a question is in a language that none of the guides is in."""
    if len(_WORD.findall(question)) < 2 and question.isascii():
        return ""  # a name is of no language
    own = languages(library, library.generation)
    if (asked := language(question, own)) in own:
        return ""
    names = " and ".join(_LANGUAGES[code] for code in own)
    return f"The guides are in {names}, and this question seems to be in {_LANGUAGES[asked]}: ask it in {names}."


# Questions to begin with, or to go on with: those that guides ask themselves, else what their headings name.

SAMPLE = 400  # chunks looked at
SHORTEST, LONGEST_STARTER = 12, 90  # characters of a starter
MOST_TRIED = 6  # before as many as are wanted hold
ALIKE = 0.6  # share of common words from which two questions are one
GENERAL = re.compile(
    r"(?i)introduction|overview|summary|conclusion|contents|table of|references|sources|bibliography|resources"
    r"|faq|frequently|further|notes?$|about|licen[cs]e|appendix"
)
_SAID = "What is said about"
_BEGINS_NAME = re.compile(r"^(?:[A-Z][A-Za-z]*[A-Z]|[A-Z]\d|[A-Z]+\b)")
# A heading that names its question without asking it, and the question: "What dropout is", "How to choose a metric".
_TURNED = (
    (re.compile(r"^What (.+) (is|are|does|do)$"), r"What \2 \1?"),
    (re.compile(r"^How to (.+)$"), r"How do I \1?"),
    (re.compile(r"^When to (.+)$"), r"When should I \1?"),
)


def starting_questions(library: Library, n: int = 5) -> list[str]:
    """One question in turn from each guide, those that the guides ask themselves first, and of each kind one first."""
    ids = library.select()
    chunks = library.chunks(ids[:: max(1, len(ids) // SAMPLE)])
    by_guide: dict[str, list[Chunk]] = {}
    for _, chunk in sorted(chunks.items()):
        by_guide.setdefault(chunk.document, []).append(chunk)
    rounds = zip_longest(*(list(_spread(list(dict.fromkeys(_asked(found))))) for found in by_guide.values()))
    found = list(dict.fromkeys(filter(None, chain.from_iterable(rounds))))
    kinds = {question.split()[0]: question for question in reversed(found)}  # how it begins, and the first that does
    return [*(first := [q for q in found if q in kinds.values()][:n]), *(q for q in found if q not in first)][:n]


def near_questions(
    library: Library, asked: Sequence[str], passages: Sequence[Passage], holds: Callable[[str], bool], n: int = 3
) -> list[str]:
    """Questions that the guides answer (`holds`), from the headings around what was found; none that was asked."""
    found: list[str] = []
    for question in _candidates(library, asked, passages, n):
        if len(found) < n and holds(question):
            found.append(question)
    return found


def _candidates(library: Library, asked: Sequence[str], passages: Sequence[Passage], n: int) -> list[str]:
    """Those of the found passages' own sections first, then those of the sections around them."""
    own = list(dict.fromkeys((p.document, p.section) for p in passages))
    around = [at for p in passages[:n] for at in _around(library, p)]
    known = [set(terms(question)) for question in asked]
    out: list[str] = []
    for _, section in dict.fromkeys([*own, *around]):
        question = _question(section)
        words = set(terms(question))
        if words and not any(len(words & other) > ALIKE * len(words | other) for other in known):
            known.append(words)
            out.append(question)
    return sorted(out, key=lambda question: question.startswith(_SAID))[:MOST_TRIED]  # real questions first


def _around(library: Library, passage: Passage) -> Iterator[tuple[str, str]]:
    """The sections before and behind a passage's, of the same guide, the nearest first."""
    rows = library.rows(
        "SELECT DISTINCT section FROM chunk JOIN document ON document.id = document WHERE path = ?"
        " GROUP BY section ORDER BY min(abs(start - ?)) LIMIT 6",
        passage.document,
        passage.start,
    )
    yield from ((passage.document, section) for (section,) in rows)


def _question(section: str) -> str:
    """What a section answers, by its heading; nothing where that says little."""
    heading = neutralise(section.rsplit(" > ", 1)[-1]).strip()
    turned = _turned(heading)
    if turned.endswith("?"):
        return turned if SHORTEST <= len(turned) <= LONGEST_STARTER else ""
    bare = heading.rstrip(".:")
    if not bare or "?" in bare or GENERAL.search(bare) or len(bare.split()) < 2:
        return ""
    question = f"{_SAID} {_lowered(bare)}?"
    return question if len(question) <= LONGEST_STARTER else ""


def _spread(questions: list[str]) -> Iterator[str]:
    """From the middle on: what stands first is seldom what a guide is about."""
    middle = len(questions) // 2
    return chain(questions[middle:], questions[:middle])


def _asked(chunks: Sequence[Chunk]) -> Iterator[str]:
    questions = [question for c in chunks if (question := _question(c.section))]
    own = [question for question in questions if not question.startswith(_SAID)]
    return iter(own or questions)


def _turned(heading: str) -> str:
    found = ((pattern.match(heading), question) for pattern, question in _TURNED)
    return next((match.expand(question) for match, question in found if match), heading)


def _lowered(heading: str) -> str:
    bare = re.sub(r"^[\d.]+\s+", "", heading)
    return bare if _BEGINS_NAME.match(bare) else bare[:1].lower() + bare[1:]
