"""Which of the origin recipe's faults costs how much recall: 48 trials, and 18 at other rates beside them.

`python -m studies.origin_ablation` measures, with `--page` it writes docs/origin-ablation.md in both languages.
"""
