"""Footnote as parts of other people's LangChain chains."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import ConfigDict

from assistant.answer import Assistant
from assistant.records import Answer
from assistant.retrieve import as_json


class GuideRetriever(BaseRetriever):
    """Passages as LangChain documents: the text, and all else as metadata."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    assistant: Assistant
    k: int = 10

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        found = [as_json(passage) for passage in self.assistant.search(query, self.k)]
        return [Document(page_content=p.pop("text"), metadata=p) for p in found]


def retriever(assistant: Assistant, k: int) -> BaseRetriever:
    return GuideRetriever(assistant=assistant, k=k)


def runnable(assistant: Assistant) -> Runnable[str | dict[str, Any], Answer]:
    """A question, or `{"question": ..., "history": [...]}`, in; an `Answer` out."""

    def ask(asked: str | dict[str, Any]) -> Answer:
        if isinstance(asked, str):
            return assistant.ask(asked)
        return assistant.ask(asked["question"], asked.get("history", ()))

    return RunnableLambda(ask)
