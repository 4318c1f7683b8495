"""`python -m models.tiny` is `models/tiny/make.py`.

It knows nothing else.
"""

from models.tiny.make import main

main()
