"""What `app.py` shows. Only these files know Streamlit; `parts/` holds what runs in the browser.

jobs      an answer, or an ingest, under way in a thread of its own        (no Streamlit)
sources   a footnote becomes its place in the guide                        (no Streamlit)
view      an answer becomes what the browser draws                         (no Streamlit)
uploads   files that a visitor gives, kept in the library's own folder     (no Streamlit)
feedback  an answer becomes a question for the evaluation                  (no Streamlit)
starters  questions drawn from the library                                 (no Streamlit)
writers   what can write an answer here, and if not, why                   (no Streamlit)
visit     who is visiting, and where they are
parts     the pieces of page drawn by our own JavaScript
ask, side, guides, read, evaluation, first   the pages and the panel beside them
"""
