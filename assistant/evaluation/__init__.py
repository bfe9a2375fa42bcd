"""How good it is, and whether it got better: generate answers to a question set, then score the file, then report.

    footnote evaluate corpus/questions.jsonl --model quotes --split test --out runs/today

questions → generate → predictions.jsonl → score → summary → scores.json, report.md, report.html
"""
