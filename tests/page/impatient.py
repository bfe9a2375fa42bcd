"""The page, but it waits for no answer before it is shown: so each is seen being written, however fast the machine.

streamlit run tests/page/impatient.py
"""

from __future__ import annotations

import runpy
from pathlib import Path

from assistant.page import ask

ask.AT_ONCE = 0.0
runpy.run_path(str(Path(__file__).parents[2] / "app.py"))
