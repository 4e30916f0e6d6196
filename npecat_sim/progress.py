"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0
"""Minimum time between two plain lines."""

Advance = Callable[[int, str], None]
"""Call with the number of images done since the last call, and a note to show beside them."""

Laps = tuple[str, Sequence[int]]
"""Name of the parts of the whole, and the length of each part in images."""


@contextmanager
def progress(
    label: str, total: int, *, done: int = 0, unit: str = "images", laps: Laps | None = None
) -> Iterator[Advance]:
    """Show progress over ``total`` images on standard error.

    Parameters
    ----------
    label : str
        Name of the work, shown at the start of the line.
    total : int
        Number of images of the whole work.
    done : int, optional
        Images that an earlier run has finished; they do not count towards the rate.
    unit : str, optional
        Plural name of what is counted.
    laps : Laps, optional
        Parts of the whole; the present part gets a bar of its own.

    Yields
    ------
    Advance
        ``advance(images, note)`` counts further images and shows a note.
    """
    console = Console(file=sys.stderr)
    if console.is_terminal:
        shown = _bar(console, label, total, done, unit, laps)
    else:
        shown = _lines(label, total, done, unit, laps)
    with shown as advance:
        yield advance


@contextmanager
def _bar(
    console: Console, label: str, total: int, done: int, unit: str, laps: Laps | None
) -> Iterator[Advance]:
    """Bars that move on a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    start = time.perf_counter()
    completed = done
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=done, rate="", note="")
        lap_task = bar.add_task("", total=1, rate="", note="") if laps else None

        def advance(images: int, note: str) -> None:
            nonlocal completed
            completed += images
            rate = (completed - done) / _seconds_since(start)
            bar.update(task, completed=completed, rate=_rate_text(rate, unit), note=note)
            if laps and lap_task is not None:
                number, within = _lap(completed, laps[1])
                name, length = f"{laps[0]} {number} of {len(laps[1])}", laps[1][number - 1]
                bar.update(lap_task, description=name, completed=within, total=length)

        yield advance


@contextmanager
def _lines(label: str, total: int, done: int, unit: str, laps: Laps | None) -> Iterator[Advance]:
    """Plain lines, one in SECONDS_BETWEEN_LINES."""
    start = printed = time.perf_counter()
    completed = done

    def advance(images: int, note: str) -> None:
        nonlocal completed, printed
        completed += images
        now = time.perf_counter()
        if now - printed > SECONDS_BETWEEN_LINES or (images and completed == total):
            printed = now
            rate = (completed - done) / _seconds_since(start)
            line = f"{label}: {completed:,} of {total:,} {unit}, {_rate_text(rate, unit)}"
            left = f"{(total - completed) / rate:,.0f} s left" if rate else ""
            part = f"{laps[0]} {_lap(completed, laps[1])[0]} of {len(laps[1])}" if laps else ""
            print(", ".join(filter(None, (line, left, part, note))), file=sys.stderr, flush=True)

    yield advance


def _rate_text(rate: float, unit: str) -> str:
    """Units per second, with two decimals below 1."""
    return f"{rate:,.0f} {unit}/s" if rate >= 1 else f"{rate:.2f} {unit}/s"


def _lap(completed: int, lengths: Sequence[int]) -> tuple[int, int]:
    """The number of the present part, from 1, and how much of it is done."""
    number, before = 1, 0
    while number < len(lengths) and completed > before + lengths[number - 1]:
        before += lengths[number - 1]
        number += 1
    return number, completed - before


def _seconds_since(start: float) -> float:
    """Seconds since a reading of time.perf_counter, never zero."""
    return max(time.perf_counter() - start, 1e-9)
