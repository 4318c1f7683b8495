"""Does the best learning rate depend on the rank, and do larger batches hurt at equal epochs?"""
