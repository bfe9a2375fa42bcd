"""What can go wrong, as a tree. The library raises these; only the command line and the app turn them into words.

FootnoteError             str() is one line: what is wrong, the value, and the command that mends it
├── ReadError             a file cannot become a document; the rest of its folder still can
├── LibraryError          the library is missing, made by a newer version, or damaged
│   └── LibraryBusy       another process is writing to it
└── WriterError           a model cannot write: no key, no such model, server out of reach, cut in mid-answer
"""


class FootnoteError(Exception):
    """One line for the user: what is wrong, the value, and what to do about it."""


class ReadError(FootnoteError):
    """A file cannot become a document."""


class LibraryError(FootnoteError):
    """The library cannot be opened or written."""


class LibraryBusy(LibraryError):
    """Another process holds the library's write lock."""


class WriterError(FootnoteError):
    """The model that should write the answer cannot."""
