"""The doors of `footnote serve` and `footnote mcp`: other people's clients ask, and get the footnotes too."""
