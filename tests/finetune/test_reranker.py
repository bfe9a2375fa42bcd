from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from assistant.retrieve import Reranker, pair
from finetune.reranker import (
    CrossEncoder,
    Group,
    Miner,
    Pairs,
    Settings,
    abbreviations_in,
    export,
    from_tables,
    held_out,
    loss_of,
    of_heading,
    of_row,
    of_sentence,
    prepare,
    read_squad,
    sloppy,
    train,
)
from ingest.chunks import Chunk
from ingest.embed import MiniLM, exact

GROUPS = [
    Group("what is dropout?", ("Dropout\nDropout switches off random units.", "Salary\nEngineers earn $120,000."), 1),
    Group("how much do engineers earn", ("Salary\nEngineers earn $120,000.", "Dropout\nIt switches units off."), 1),
    Group("who invented dropout?", ("Dropout\nDropout switches off random units.",), 0),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reranker")
    train(GROUPS * 4, out, Settings(minutes=2, groups_a_step=3, learning_rate=2e-4))
    return out


def test_training_lowers_the_loss_and_leaves_a_file_that_ranks_what_it_learned(trained: Path) -> None:
    pairs = Pairs(64)
    before = float(loss_of(CrossEncoder(), GROUPS, pairs, 512).detach())
    after = float(loss_of(CrossEncoder(trained / "weights.safetensors"), GROUPS, pairs, 512).detach())
    assert after < before - 0.2
    reranker = Reranker(trained / "model.onnx")
    for group in GROUPS[:2]:
        right, wrong = reranker.score(group.question, group.passages)
        assert right > wrong


def test_what_serves_is_what_was_trained(trained: Path, tmp_path: Path) -> None:
    """The graph in full precision gives torch's scores; in eight bits the file fits and stays near."""
    import torch

    export(trained / "weights.safetensors", tmp_path / "exact.onnx", exact)
    model = CrossEncoder(trained / "weights.safetensors")
    texts = [passage for group in GROUPS for passage in group.passages]
    question = "what switches off units?"
    theirs = np.empty(len(texts))
    with torch.no_grad():
        for places, (ids, types, mask) in Pairs(64).batches([(question, text) for text in texts], 256):
            theirs[places] = model.scores(ids, types, mask).numpy()
    assert np.allclose(Reranker(tmp_path / "exact.onnx").score(question, texts), theirs, atol=0.02)  # words: eight bits
    assert np.abs(Reranker(trained / "model.onnx").score(question, texts) - theirs).max() < 0.5
    assert (trained / "model.onnx").stat().st_size < 25 * 2**20


def test_guides_become_questions_with_their_passage_first_and_others_behind(tmp_path: Path) -> None:
    topics = ["Dropout", "Momentum", "Pooling", "Attention", "Boosting", "Pruning"]
    for topic in topics:
        text = f"# {topic}\n\n{topic} is a method that improves networks because it lowers the error by 40 points.\n"
        (tmp_path / f"{topic}.md").write_text(text * 2)
    groups = prepare(tmp_path, None, Settings(), share=1.0)
    assert len(groups) >= len(topics)
    for group in groups:
        assert group.right == 1
        assert len(set(group.passages)) == len(group.passages) > 1
    named = [(group, topic) for group in groups for topic in topics if topic.lower() in group.question.lower()]
    assert named
    assert all(topic in group.passages[0] for group, topic in named)


def test_a_passage_that_is_nearer_than_the_right_one_is_not_called_wrong() -> None:
    passages = [
        "Dropout sets random units to zero while a network trains.",
        "What dropout is: random units are set to zero, so that a network generalises.",
        "Random forests draw a random sample of the rows for each tree.",
    ]
    miner = Miner(passages, MiniLM())
    (alike,), (below,) = miner.alike(["what is dropout?"]), miner.below(["what is dropout?"], [0], 1.0)
    assert set(alike) >= {0, 1}
    assert below == [2]


def test_a_sentence_is_asked_for_in_the_words_of_people() -> None:
    sentence = "Dropout is a method that switches off random units during training."
    asked = {ask.question.lower().rstrip("?") for seed in range(20) for ask in of_sentence(sentence, Random(seed))}
    assert {"what is dropout", "define dropout"} <= asked
    sentence = "The learning rate must be small because large steps overshoot the minimum of the loss."
    asked = {ask.question for seed in range(20) for ask in of_sentence(sentence, Random(seed)) if ask.fact}
    assert "why the learning rate must be small?" in asked


def test_headings_rows_and_short_forms_make_questions_too() -> None:
    assert "what is the difference between ridge and lasso?" in {
        ask.question.lower() for seed in range(20) for ask in of_heading("Ridge vs Lasso", "", Random(seed))
    }
    assert not list(of_heading("Exercises", "Dropout", Random(0)))
    header, row = ["Role", "Salary"], ["ML engineer", "$148K"]
    asked = {ask.question for seed in range(20) for ask in of_row(header, row, "| ML engineer | $148K |", Random(seed))}
    assert "what is the salary of ML engineer?" in asked
    short = abbreviations_in(["A support vector machine (SVM) separates classes."])
    assert short == {"support vector machine": "SVM"}
    assert {sloppy("What is a support vector machine?", short, Random(seed)).lower()[:13] for seed in range(20)} > {
        "what is a svm"
    }


def test_a_made_up_table_has_its_answer_only_in_the_first_passage() -> None:
    text = "RandomForest, GradientBoosting, LogReg SVM KNN PCA LDA GMM MLP CNN RNN GRU"
    chunks = [Chunk("a.md", "Guide", "Part", 0, len(text), text, "paragraph", ())] * 3
    for group in from_tables(chunks, Random(1), 20):
        right, *others = (set(passage.splitlines()) for passage in group.passages)
        assert all(right - other for other in others)


def test_squad_is_split_by_article_so_that_no_paragraph_is_both_learned_and_tested(tmp_path: Path) -> None:
    titles = [f"Article {number}" for number in range(40)]
    paragraph = [{"context": "It rained.", "qas": [{"id": "1", "question": "Did it?", "is_impossible": True}]}]
    articles = ",".join(f'{{"title": "{title}", "paragraphs": {paragraph}}}' for title in titles)
    text = f'{{"data": [{articles}]}}'.replace("'", '"').replace("True", "true")
    (tmp_path / "dev.json").write_text(text)
    learned, tested = (read_squad(tmp_path / "dev.json", test=test) for test in (False, True))
    assert set(learned.passages) | set(tested.passages) == {f"{title}#0" for title in titles}
    assert not set(learned.passages) & set(tested.passages)
    assert all(held_out(place.split("#")[0]) for place in tested.passages)
    assert not any(query["answerable"] for query in learned.questions)


def test_a_pair_is_cut_at_the_end_of_its_text() -> None:
    cut = pair(range(1000, 1500), range(5000, 6000), 101, 102)
    assert cut["ids"][:3] == [101, 1000, 1001]
    assert cut["ids"][65:67] == [102, 5000]
    assert cut["ids"][-1] == 102
    assert len(cut["ids"]) == len(cut["types"]) == 256
