"""Do more wordings of a fact, at equal steps, raise recall in wordings that were not trained, and by how much?"""
