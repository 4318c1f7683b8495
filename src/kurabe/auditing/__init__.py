"""Can this fine-tune learn at all? Read what people have, describe it in one record, and say what is wrong with it.

`plan` is the arithmetic before our own training, `reading` finds out what a path is, `rules` judge. Nothing is run.
"""
