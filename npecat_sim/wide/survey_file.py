"""Survey files: TOML in which each quantity is one number or ``[low, high]``."""

import math
import reprlib
import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from npecat_sim.errors import NpecatError
from npecat_sim.io.plain import from_plain
from npecat_sim.model.prior import ShiftedGamma, TruncatedPareto
from npecat_sim.wide.sections import (
    PROFILE_NAMES,
    Artifacts,
    Detector,
    PsfLaws,
    Quantity,
    Sky,
    Sources,
)
from npecat_sim.wide.survey import WIDE, Survey

EXAMPLES = ("sdss", "decam", "ztf", "amateur_0.5m")
"""Names of the survey files of the package."""

SECTIONS = (PsfLaws, Detector, Sky, Sources, Artifacts)
"""Tables of a file, each under the name that it has in Survey."""

LAWS = (TruncatedPareto, ShiftedGamma)
"""Laws, which are tables of their parameters."""


def load_survey(survey: Path | str | None) -> Survey:
    """Read a survey.

    Parameters
    ----------
    survey : Path or str, optional
        A TOML file, or a name in EXAMPLES; None for any ground-based telescope.

    Returns
    -------
    Survey
        What the file leaves out is as in survey.WIDE, but for images as of prior ``many`` and of
        stars alone, of which there are none unless the file says so.

    Raises
    ------
    NpecatError
        If the file cannot be read or is no survey; it names the file, the key and what to do.
    """
    if survey is None:
        return WIDE
    path = Path(survey)
    if str(survey) in EXAMPLES and not path.exists():
        place = resources.files("npecat_sim.wide") / "surveys" / f"{survey}.toml"
        return _parse(place.read_text(), f"{survey}.toml", str(survey))
    try:
        return _parse(path.read_text(), str(path), path.stem)
    except OSError as error:
        raise NpecatError(
            f"{path}: {error.strerror or error}; give a survey file or one of "
            f"{', '.join(EXAMPLES)}",
            parameters=("survey",),
        ) from error
    except UnicodeDecodeError as error:
        raise NpecatError(f"{path} is not text; give a TOML file") from error


def _parse(text: str, where: str, name: str) -> Survey:
    """The survey of a TOML text."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise NpecatError(f"{where} is not TOML: {' '.join(str(error).split())}") from error
    survey: Survey = _section(Survey, {"name": name, **content}, where, "")
    survey.check(where)
    return survey


def _section(kind: type[Any], content: Any, where: str, section: str) -> Any:
    """A dataclass of one table of the file."""
    if not isinstance(content, dict):
        raise NpecatError(f"{where}: {section} is {reprlib.repr(content)}; write [{section}]")
    kinds = get_type_hints(kind, include_extras=True)
    values = {}
    for key, value in content.items():
        at = f"{where}: [{section}] {key}" if section else f"{where}: {key}"
        if key not in kinds:
            raise NpecatError(f"{at} is unknown; there are {', '.join(kinds)}")
        if kinds[key] in SECTIONS:
            values[key] = _section(kinds[key], value, where, key)
        elif kinds[key] in LAWS:
            values[key] = _law(kinds[key], value, at)
        elif get_origin(kinds[key]) is Annotated:
            values[key] = _quantity(*get_args(kinds[key]), value=value, at=at)
        elif key == "profile":
            values[key] = _profile(value, at)
        elif isinstance(value, str):
            values[key] = value
        else:
            raise NpecatError(f"{at} is {reprlib.repr(value)}; give a text in quotes")
    return kind(**values)


def _quantity(kind: Any, quantity: Quantity, *, value: Any, at: str) -> Any:
    """A number, or a range if the key takes one."""
    unit, low, high = quantity
    takes_range = kind not in (float, float | None)
    pair = value if isinstance(value, list) and takes_range else [value, value]
    good = (
        len(pair) == 2
        and all(type(one) in (int, float) and low <= one <= high for one in pair)
        and pair[0] <= pair[1]
    )
    if not good:
        form = "one number or [low, high]" if takes_range else "one number"
        limits = f"from {low:g} to {high:g}"
        raise NpecatError(
            f"{at} is {reprlib.repr(value)}; give {form} {limits}{f', {unit}' if unit else ''}"
        )
    return (float(pair[0]), float(pair[1])) if takes_range else float(value)


def _law(kind: type[Any], value: Any, at: str) -> Any:
    """A law of fluxes or radii, of which every parameter is given."""
    names = [one.name for one in fields(kind)]
    try:
        law = from_plain(kind, value)
    except ValueError as error:
        raise NpecatError(
            f"{at}: {error}; give a table of the numbers {', '.join(names)}"
        ) from error
    least = {"slope": 0, "cut": 1, "shape": 0, "scale": 0}
    for name in names:
        number = getattr(law, name)
        if not (math.isfinite(number) and number > least.get(name, -math.inf)):
            raise NpecatError(f"{at}: {name} is {number:g}; it must exceed {least.get(name, 0)}")
    smallest = law.loc + (law.scale if "slope" in names else 0)
    if smallest <= 0:
        what = "loc + scale, the faintest flux," if "slope" in names else "loc, the least radius,"
        raise NpecatError(f"{at}: {what} is {smallest:g}; it must exceed 0")
    return law


def _profile(value: Any, at: str) -> dict[str, float]:
    """Shares of the profiles: one name, a list of names, or a table with the share of each."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {name: 1.0 / len(value) for name in value if isinstance(name, str)} or None
    known = isinstance(value, dict) and value.keys() <= set(PROFILE_NAMES)
    if not known or not all(type(one) in (int, float) and one > 0 for one in value.values()):
        raise NpecatError(
            f"{at} is {reprlib.repr(value)}; give a list of {', '.join(PROFILE_NAMES)}, or a table "
            "with the share of each"
        )
    return {name: float(share) for name, share in value.items()}
