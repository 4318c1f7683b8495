"""After how many epochs is a fact recalled for the first time, and do likely ones come first?"""
