from __future__ import annotations

import re
from pathlib import Path
from random import Random

from finetune import ideas
from finetune.ideas import Idea, lowered, prose_ideas, subject
from tests.finetune.making import chunks

FAQ = """# Trees

## Frequently asked questions

### Do trees need scaling?

No, a tree needs no scaling. It only compares numbers.
"""
STEPS = """# Runs

## The order of work

A run has three steps:

1. Read the rows.
2. Fit the weights;
3. Keep the best.
"""
CODE = """# Code

## A forest in scikit-learn

```python
from sklearn.ensemble import RandomForestClassifier
# a hundred trees are grown
forest = RandomForestClassifier(n_estimators=100)
forest.fit(X, y)
```
"""
TABLE = """# Pay

## Salaries

| Role | Pay | Where |
|---|---|---|
| ML engineer | $148,000 | everywhere |
| Data scientist | $120,000 | in banks |
"""


def made(folder: Path, text: str) -> list[Idea]:
    found = chunks(folder, text)
    return [
        idea
        for one, after in zip(found, [*found[1:], None], strict=True)
        for idea in prose_ideas(one, after, Random(1))
    ]


def of(kind: str, found: list[Idea]) -> list[Idea]:
    return [idea for idea in found if idea.kind == kind]


def test_a_question_of_an_faq_is_answered_by_what_stands_below_it(tmp_path: Path) -> None:
    (idea,) = of("faq", made(tmp_path, FAQ))
    assert idea.question == "Do trees need scaling?"
    assert [line.text for line in idea.lines] == ["No, a tree needs no scaling.", "It only compares numbers."]


def test_a_list_is_given_whole_with_the_sentence_that_announces_it(tmp_path: Path) -> None:
    (idea,) = of("list", made(tmp_path, STEPS))
    assert idea.question == "What are the three steps of a run?"
    assert [line.text for line in idea.lines] == [
        "A run has three steps:", "1. Read the rows.", "2. Fit the weights", "3. Keep the best.",
    ]  # fmt: skip


def test_a_list_that_goes_on_in_the_next_chunk_is_not_asked_for(tmp_path: Path) -> None:
    items = "\n".join(f"- The {n}th thing that has to be done before anything else is begun." for n in range(60))
    found = chunks(tmp_path, f"# Runs\n\n## Work\n\nThese are the things:\n\n{items}\n")
    assert len(found) > 1
    assert not of("list", list(prose_ideas(found[0], found[1], Random(1))))


def test_code_is_quoted_whole_and_by_the_comment_above_a_line(tmp_path: Path) -> None:
    whole, by_comment = of("code", made(tmp_path, CODE))
    assert whole.lines[0].text.count("\n") == 5
    assert len(whole.places) == 4
    assert "a hundred trees are grown" in by_comment.question
    assert by_comment.lines[0].text.startswith("```\n# a hundred trees are grown\nforest = Random")


def test_a_definition_is_asked_for_by_what_it_defines() -> None:
    assert subject("Dropout is a way to lower overfitting.") == "Dropout"
    assert subject("A random forest is an ensemble of trees.") == "A random forest"
    assert subject("QLoRA stands for quantised low-rank adaptation.") == "QLoRA"
    for sentence in ("It is a way to lower it.", "Dropout is used often.", "The trends below are the ones to watch."):
        assert subject(sentence) == ""


def test_a_sentence_that_says_why_how_or_when_is_asked_so() -> None:
    asked = {
        "Trees are robust because they split on order alone.": "Why are trees robust?",
        "Deep trees cannot generalise, since they memorise rows.": "Why can deep trees not generalise?",
        "To measure drift, compare two months of inputs.": "How do I measure drift?",
        "Prefer AdamW whenever you want weight decay.": "When should I prefer AdamW?",
        "Dropout lowers overfitting.": "",
        "If it is slow because the disk is full, wait.": "",
        "A model that is large is slow because it has more weights.": "",
    }
    assert {sentence: ideas.asked_of(sentence)[0] for sentence in asked} == asked


def test_questions_are_typed_as_people_type() -> None:
    question = "What is the learning rate of the optimiser?"
    typed = {ideas.as_typed(question, Random(n)) for n in range(200)}
    assert {question, question.lower().rstrip("?"), "learning rate optimiser"} <= typed
    slips = [text for text in typed if len(set(text.lower().split()) ^ set(question.lower().split())) == 2]
    assert slips
    assert all(len(ideas.as_typed(question, Random(n), whole=True).split()) > 4 for n in range(200))


def test_words_that_stand_together_in_one_chunk_alone_are_searched_for(tmp_path: Path) -> None:
    common = "A forest of trees needs rows, and gradient boosting needs a learning rate for trees."
    text = "".join(f"# Part {n}\n\n{common}\n\n" for n in range(5))
    one = "# Last\n\nGradient boosting with a forest and a learning rate of its own wins on small rows.\n"
    found = list(ideas.by_keywords(chunks(tmp_path, text + one), Random(0)))
    assert all(len(idea.question.split()) > 2 for idea in found)
    assert all(set(idea.question.split()) <= set(re.findall(r"\w+", idea.lines[0].text.lower())) for idea in found)
    assert not any(idea.lines[0].text == common for idea in found), "it stands in five chunks"


def test_names_keep_their_capitals_inside_a_question() -> None:
    assert lowered("Cosine decay") == "cosine decay"
    assert lowered("GPT-4 and Claude") == "GPT-4 and Claude"
    assert lowered("Deep Learning for Healthcare") == "Deep Learning for Healthcare"
    assert lowered("Machine learning (ML)") == "machine learning (ML)"


def test_a_table_is_asked_by_cell_by_row_and_by_column(tmp_path: Path) -> None:
    found = list(ideas.table_ideas(chunks(tmp_path, TABLE)[0], Random(2)))
    said = {idea.kind: idea for idea in reversed(found)}
    assert said["table"].lines[0].text == "Pay for ML engineer: $148,000."
    assert said["table"].figure == "$148,000"
    assert said["which"].lines[0].text == "ML engineer, whose pay is given as $148,000."
    assert said["row"].lines[0].text == "ML engineer: pay: $148,000; where: everywhere."
    assert [line.text for line in said["column"].lines] == ["- ML engineer: $148,000", "- Data scientist: $120,000"]


def test_a_follow_up_asks_on_from_the_answer_before(tmp_path: Path) -> None:
    found = of("follow", list(ideas.table_ideas(chunks(tmp_path, TABLE)[0], Random(2))))
    (turn,) = found[0].history
    assert "engineer" in turn.question
    assert "data scientist" in found[0].question.lower()
    assert found[0].lines[0].text.endswith("120,000." if "pay" in turn.question.lower() else "in banks.")


def test_the_same_row_in_two_guides_is_a_question_for_both(tmp_path: Path) -> None:
    one = chunks(tmp_path, TABLE, "one.md")
    other = chunks(tmp_path, TABLE.replace("$148,000", "$130,000").replace("# Pay", "# Wages"), "other.md")
    found, taken = ideas.differing([row for c in (*one, *other) for row in ideas.rows(c)])
    pay = next(idea for idea in found if "pay of ML engineer" in idea.question)
    assert [line.text for line in pay.lines] == [
        "Pay: pay for ML engineer: $148,000.", "Wages: pay for ML engineer: $130,000.",
    ]  # fmt: skip
    assert len(taken) == 4


def test_things_of_a_kind_are_compared_by_their_definitions(tmp_path: Path) -> None:
    text = "# Kinds\n\nSupervised learning is a search with labels. Unsupervised learning is a search without labels.\n"
    found = list(ideas.comparisons(ideas.definitions(chunks(tmp_path, text)), Random(0)))
    assert [len(idea.lines) for idea in found] == [2]
    assert "supervised learning" in found[0].question.lower()
