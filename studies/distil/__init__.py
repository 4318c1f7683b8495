"""Does learning from oneself, or a retention mix, keep what tuning costs elsewhere? Four recipes at two lengths.

`python -m studies.distil` measures, with `--page` it writes docs/distil.md in both languages.
"""
