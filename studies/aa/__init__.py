"""A/A: two arms that are equally good. How often does the verdict, or a test of single rows, claim a difference?

`python -m studies.aa` simulates, with `--page` it writes docs/aa.md in both languages.
"""
