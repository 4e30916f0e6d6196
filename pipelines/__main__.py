"""Run the command ``npecat`` by ``python -m npecat``."""

from .cli import main

main()
