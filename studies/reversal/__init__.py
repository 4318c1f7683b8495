"""Does a model that learned "A is B" answer "who is B?" with A?"""
