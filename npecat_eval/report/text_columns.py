"""Text tables for the terminal."""


def columns_text(header: list[str], rows: list[list[str]]) -> str:
    """Align cells in columns, the first column to the left and the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    lines = []
    for first, *others in (header, *rows):
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)
