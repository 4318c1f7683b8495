"""Coverage: how often do the 95 % intervals of shares, differences and seeds hold the true value?

`python -m studies.coverage` simulates, with `--page` it writes docs/coverage.md in both languages.
"""
