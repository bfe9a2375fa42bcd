"""From the corpus to a local Llama that answers with footnotes."""
