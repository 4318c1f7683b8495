"""How many arbitrary facts does an adapter hold, by its rank?"""
