"""`python -m kurabe`."""

from kurabe.cli import main

if __name__ == "__main__":
    main()
