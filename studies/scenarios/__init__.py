"""Scenarios: worlds in which the right verdict is known, because they were built so. How often does the rule find it?

`python -m studies.scenarios` simulates, with `--page` it writes docs/scenarios.md in both languages.
"""
