"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0

Advance = Callable[[int, str], None]


@contextmanager
def progress(label: str, total: int, done: int = 0, unit: str = "images") -> Iterator[Advance]:
    """Show progress over ``total`` images on standard error; yields ``advance(images, note)``.

    done: images that an earlier run has finished; they do not count towards the rate.
    unit: what is counted, where it is not images.
    """
    console = Console(file=sys.stderr)
    if console.is_terminal:
        shown = _bar(console, label, total, done, unit)
    else:
        shown = _lines(label, total, done, unit)
    with shown as advance:
        yield advance


@contextmanager
def _bar(console: Console, label: str, total: int, done: int, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TextColumn("{task.fields[rate]:,.0f} " + f"{unit}/s"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    start = time.perf_counter()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=done, rate=0.0, note="")

        def advance(images: int, note: str) -> None:
            made = bar.tasks[0].completed + images - done
            bar.update(task, advance=images, rate=made / _seconds_since(start), note=note)

        yield advance


@contextmanager
def _lines(label: str, total: int, done: int, unit: str) -> Iterator[Advance]:
    start = printed = time.perf_counter()
    completed = done

    def advance(images: int, note: str) -> None:
        nonlocal completed, printed
        completed += images
        now = time.perf_counter()
        if now - printed > SECONDS_BETWEEN_LINES or completed == total:
            printed = now
            rate = (completed - done) / _seconds_since(start)
            line = f"{label}: {completed:,} of {total:,} {unit}, {rate:,.0f} {unit}/s"
            left = f"{(total - completed) / rate:,.0f} s left"
            print(", ".join(filter(None, (line, left, note))), file=sys.stderr, flush=True)

    yield advance


def _seconds_since(start: float) -> float:
    return max(time.perf_counter() - start, 1e-9)
