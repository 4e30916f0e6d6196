"""``python -m npecat`` is the same as the command ``npecat``."""

from .cli import main

main()
