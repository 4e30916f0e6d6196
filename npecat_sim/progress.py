"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[..., None]]:
    """Show progress over ``total`` images; yields ``advance(images, note="")``.

    done: images that an earlier run has finished; they do not count towards the rate.
    """
    console = Console(file=sys.stderr)
    start = time.perf_counter()
    state = {"done": done, "note": "", "printed": start}

    def rate() -> float:
        return (state["done"] - done) / max(time.perf_counter() - start, 1e-9)

    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} images"),
            TextColumn("{task.fields[rate]:,.0f} images/s"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(label, total=total, completed=done, rate=0.0, note="")

            def advance(images: int, note: str = "") -> None:
                state["done"] += images
                bar.update(task, advance=images, rate=rate(), note=note)

            yield advance
        return

    def advance_in_lines(images: int, note: str = "") -> None:
        state["done"] += images
        now = time.perf_counter()
        if now - state["printed"] > SECONDS_BETWEEN_LINES or state["done"] == total:
            state["printed"] = now
            left = (total - state["done"]) / max(rate(), 1e-9)
            print(
                f"{label}: {state['done']:,} of {total:,} images, {rate():,.0f} images/s, "
                f"{left:,.0f} s left {note}".rstrip(),
                file=sys.stderr,
                flush=True,
            )

    yield advance_in_lines
