"""A wheel puts three packages into site-packages, which others use too: `assistant`, `ingest` and `finetune`.

`app.py` and the starter guides, which stand beside them in the repository, go into `assistant/starter`, where `beside`
finds them: Streamlit puts the folder of its script before all others, so it should hold nothing that can be imported.
"""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class Build(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        inside = Path(self.build_lib, "assistant", "starter")
        inside.mkdir(exist_ok=True)
        self.copy_file("app.py", str(inside / "app.py"))
        copytree("corpus", inside / "corpus", ignore=ignore_patterns("source", "questions.jsonl"), dirs_exist_ok=True)


setup(cmdclass={"build_py": Build})
