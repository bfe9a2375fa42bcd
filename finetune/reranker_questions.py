"""Questions as people type them, made by rule from what a guide says: no model is asked.

Every rule gives back the question and, where one sentence or row alone answers it, that evidence; a passage without it
no longer answers. Pure: the same text and the same `random.Random` give the same questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from finetune.reranker_rules import AUXILIARY, DANGLING, GENERIC, OPENING, RULES, STOP, VERBS


@dataclass(frozen=True, slots=True)
class Asked:
    """`fact`: only the evidence answers it, so that the same passage without it is a near miss."""

    question: str
    evidence: str = ""
    fact: bool = False
    kind: str = "heading"


ASKING = frozenset("what why how when which where who should can do".split())  # a heading that is a question


def of_heading(label: str, parent: str, random: Random) -> Iterator[Asked]:
    """Several phrasings of what a section is about."""
    label = plain(re.sub(r"^[\d.]+[.)]?\s+|^(step|part|chapter)\s+\d+:?\s*", "", label, flags=re.I)).strip(" .:")
    words = label.lower().split()
    if not words or len(words) > 14 or all(word.strip("?:,.") in GENERIC | STOP for word in words):
        return
    if label.endswith("?") or words[0] in ASKING:
        yield Asked(label)
        yield Asked(" ".join(word for word in words if word.strip("?") not in STOP))
        return
    pair = re.match(r"(.{3,40}?)\s+(?:vs\.?|versus|or|compared (?:to|with))\s+(.{3,40})$", label, re.I)
    if pair:
        forms = [
            "what is the difference between {} and {}?",
            "{} vs {}",
            "{} or {}, which is better?",
            "compare {}, {}",
        ]
        yield from (Asked(form.format(*pair.groups())) for form in random.sample(forms, 2))
        return
    topic = _lower_first(label)
    if words[0] in VERBS:
        forms = ["how do I {}?", "how to {}", "how can I {}?", "best way to {}", "steps to {}"]
    elif words[0].endswith("ing") and len(words) > 1:
        forms = ["{}", "how does {} work?", "tips for {}", "what should I know about {}?", "how to do {}", "explain {}"]
    else:
        verb = "are" if re.search(r"[^s]s$", words[-1]) else "is"
        forms = [
            "{}",
            f"what {verb} {{}}?",
            "explain {}",
            "how does {} work?",
            "when should I use {}?",
            "tell me about {}",
        ]
        forms += ["why {}?", "{} explained simply", "what is meant by {}?", "what do you know about {}", "whats {}"]
    for form in random.sample(forms, min(3, len(forms))):
        yield Asked(form.format(topic))
    if parent and plain(parent).lower() != label.lower() and random.random() < 0.5:
        yield Asked(
            random.choice(["{1} {0}", "{0} in {1}", "what about {0} for {1}?"]).format(
                topic, _lower_first(plain(parent))
            )
        )


def of_sentence(sentence: str, random: Random) -> Iterator[Asked]:
    """Questions that this sentence answers."""
    text = re.sub(OPENING, "", plain(sentence)).rstrip(" .:;?!")
    text, words = text[:1].upper() + text[1:], text.split()
    letters = sum(character.isalpha() or character == " " for character in text)
    if not 6 <= len(words) <= 45 or letters < 0.8 * len(text) or re.search(r"[$\\{}]|:\w+:|https?:", text):
        return
    for pattern, forms, fact in RULES:
        found = re.match(pattern, text)
        if found and all(2 < len(group) < 90 for group in found.groups()):
            groups = [_lower_first(group.strip(" ,")) for group in found.groups()]
            for form in random.sample(forms.split(" | "), 2):
                yield Asked(form.format(*groups), sentence, fact, "rule")
    yield from _of_figure(text, sentence, random)
    inverted = re.match(rf"((?:\S+ ){{1,5}}?)({AUXILIARY}) (?!not)(.{{10,80}}?)(?:,|;| because| which| and |$)", text)
    if inverted and inverted[1].split()[0].lower() not in DANGLING:
        subject = _lower_first(inverted[1].strip())
        form = random.choice(["{1} {0} {2}?", "{1} {0} {2}?", "why {1} {0} {2}?", "how {1} {0} {2}?"])
        yield Asked(form.format(subject, inverted[2], inverted[3]), sentence, False, "rule")
    yield from _keywords(words, sentence, random)


def _of_figure(text: str, sentence: str, random: Random) -> Iterator[Asked]:
    for found in re.finditer(r"(?<!\S)(\$?)(\d[\d,.]*)\s?(%|percent|)[\s\-]([a-z]{3,}(?: [a-z]{4,})?)", text):
        if found[4].split()[0] in STOP:
            continue
        rest = " ".join(_content((text[: found.start()] + text[found.end() :]).split())[:7])
        if len(rest.split()) < 2 or re.match(r"\b(figure|fig|section|table|chapter|equation|eq)\b", rest):
            continue
        if found[1]:
            form = random.choice(["how much does {1} cost?", "price {1}", "how much {1} {0}"])
        elif found[3]:
            form = random.choice(["what percentage {1} {0}?", "what percent of {0} {1}", "how many percent {1}"])
        else:
            form = random.choice(
                ["how many {0} {1}?", "how many {0} does {1} have?", "number of {0} {1}", "{1} how many {0}"]
            )
        yield Asked(form.format(found[4], rest), sentence, True, "figure")
    year = re.search(r"\b(?:in|since|by) ((?:19|20)\d\d)\b", text)
    if year:
        rest = " ".join(_content(text.replace(year[0], "").split())[:7])
        form = random.choice(["when {}?", "what year {}", "in which year {}?"])
        yield Asked(form.format(rest), sentence, True, "figure")


def _keywords(words: Sequence[str], sentence: str, random: Random) -> Iterator[Asked]:
    """The words that carry the meaning, some dropped, now and then out of order."""
    content = _content(words)
    if len(content) < 4:
        return
    kept = [word for word in content if random.random() < 0.7][: random.randint(3, 7)]
    if random.random() < 0.3:
        random.shuffle(kept)
    lead = random.choice(["", "", "", "how does ", "why ", "what is ", "can you explain ", "when ", "is ", "which "])
    if len(kept) > 2:
        yield Asked(lead + " ".join(kept), sentence, False, "words")


def of_row(header: Sequence[str], row: Sequence[str], evidence: str, random: Random) -> Iterator[Asked]:
    """What a table's row says under its columns."""
    for column, cell in list(zip(header, row, strict=False))[1:]:
        if not (2 < len(row[0]) < 60 and 2 < len(column) < 40 and cell.strip(" -—")):
            continue
        forms = ["what is the {0} of {1}?", "{1} {0}", "{0} for {1}", "what {0} does {1} have?", "which {0} for {1}?"]
        yield Asked(random.choice(forms).format(_lower_first(column), row[0]), evidence, True, "row")
        if len(cell) < 50:
            form = random.choice(["which {2} has {0} {1}?", "what has a {0} of {1}?", "{2} with {1} {0}"])
            yield Asked(form.format(_lower_first(column), cell, _lower_first(header[0])), evidence, True, "row")


def of_code(code: str, section: str, random: Random) -> Iterator[Asked]:
    """What a comment says that the code does, and how the names in it are used."""
    for comment in re.findall(r"#\s*([A-Z][\w ,'\-/]{12,70})$", code, re.M):
        words = comment.lower().split()
        form = "how to {}" if words[0] in VERBS else "code to {}" if random.random() < 0.3 else "{} code"
        tail = random.choice(["", "", " in python", " in code"])
        yield Asked(form.format(_lower_first(comment)) + tail, comment, False, "code")
    names = re.findall(r"\b([A-Z][a-z]+[A-Z]\w+|[a-z]+_[a-z_]+)\(", code)
    for name in random.sample(sorted(set(names)), min(2, len(set(names)))):
        forms = [
            "how do I use {}?",
            "{} example",
            "{} code",
            "what does {} do?",
            "example of {} for {topic}",
            "{} arguments",
        ]
        yield Asked(random.choice(forms).format(name, topic=_lower_first(plain(section))), "", False, "code")


def sloppy(question: str, abbreviations: dict[str, str], random: Random) -> str:
    """As it is typed: often without capitals and question mark, with short forms, now and then with a slip."""
    for long, short in abbreviations.items():
        if long in question.lower() and random.random() < 0.5:
            question = re.sub(re.escape(long), short, question, flags=re.I)
    if random.random() < 0.5:
        question = question.rstrip("?")
    question = question.lower() if random.random() < 0.5 else question[:1].upper() + question[1:]
    if random.random() < 0.08 and len(question) > 12:
        place = random.randrange(3, len(question) - 2)
        slips = [question[:place] + question[place + 1 :], question[:place] + question[place] + question[place:]]
        slips.append(question[:place] + question[place + 1] + question[place] + question[place + 2 :])
        question = random.choice(slips)
    return " ".join(question.split())


def abbreviations_in(texts: Sequence[str]) -> dict[str, str]:
    """`support vector machine (SVM)` wherever it is written: the long form to the short one."""
    pairs: dict[str, str] = {}
    for text in texts:
        for words, short in re.findall(r"((?:[A-Za-z\-]+ ){1,5}[A-Za-z\-]+) \(([A-Z]{2,5})s?\)", text):
            long = re.split(r"[ \-]", words.lower())[-len(short) :]
            if len(long) == len(short) and all(
                word[:1] == letter for word, letter in zip(long, short.lower(), strict=True)
            ):
                pairs[" ".join(long)] = short
    return pairs


def plain(text: str) -> str:
    """Without markup, so that a question does not carry it."""
    text = re.sub(r"\[\[.*?\]\]|\{#.*?\}|<[^>]*>|!\[.*?\]\(.*?\)", " ", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r":\w+:`([^`<]*)(?:<[^`]*)?`_*|`+([^`]*)`+_*", lambda found: found[1] or found[2] or "", text)
    return " ".join(re.sub(r"[*_#>|]{1,3}(?=\W|$)|(?<!\w)[*_#>|]{1,3}", " ", text).split())


def _content(words: Sequence[str]) -> list[str]:
    bare = [word.strip(".,;:()\"'“”") for word in words]
    return [word for word in bare if len(word) > 1 and word.lower() not in STOP]


def _lower_first(text: str) -> str:
    head = text.split(" ", 1)[0]
    return text if sum(map(str.isupper, head)) > 1 else text[:1].lower() + text[1:]
