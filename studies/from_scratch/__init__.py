"""Can a fact that was learned by heart in one wording be asked for? A small model from scratch, on invented people."""
