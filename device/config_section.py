"""What every section of the configuration is: frozen, without unknown keys, its paths beside the file."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

_S = TypeVar("_S", bound="Section")


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused."""

    # Built when first used (``defer_build``, in all models): as a part of the whole, not each alone at import.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def resolved(section: _S, folder: Path) -> _S:
    """The same section with every path made absolute."""
    changed: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path):
            changed[name] = folder / value
        elif isinstance(value, Section):
            changed[name] = resolved(value, folder)
        elif isinstance(value, tuple):
            changed[name] = tuple(resolved(item, folder) if isinstance(item, Section) else item for item in value)
    return section.model_copy(update=changed) if changed else section
