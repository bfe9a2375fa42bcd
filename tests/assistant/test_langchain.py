from __future__ import annotations

from pathlib import Path

from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from assistant import Answer, Assistant


def test_the_retriever_works_inside_a_chain_of_other_peoples(corpus_library: Path) -> None:
    retriever = Assistant(corpus_library).as_retriever(k=3)
    chain = RunnablePassthrough.assign(docs=(lambda x: x["question"]) | retriever) | RunnableLambda(
        lambda x: [document.page_content for document in x["docs"]]
    )
    found = chain.invoke({"question": "who coined the term machine learning"})
    assert len(found) == 3
    assert "Arthur Samuel" in found[0]


def test_its_documents_carry_where_they_stand(corpus_library: Path) -> None:
    guide = Assistant(corpus_library)
    (document,) = guide.as_retriever(k=1).invoke("who coined the term machine learning")
    where = document.metadata
    assert guide.library.text(where["document"])[where["start"] : where["end"]] == document.page_content


def test_the_assistant_is_a_runnable_with_and_without_history(corpus_library: Path) -> None:
    ask = Assistant(corpus_library).as_runnable()
    answer = (ask | RunnableLambda(lambda answer: answer)).invoke("Who coined the term machine learning?")
    assert isinstance(answer, Answer)
    history = ["How do I load Llama in 4 bit for QLoRA?"]
    follow_up = ask.invoke({"question": "Which compute dtype does it use?", "history": history})
    assert "QLoRA" in follow_up.understood
