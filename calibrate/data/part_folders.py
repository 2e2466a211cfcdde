"""Folders that are the parts of data, such as train and val, wherever they lie among the other folders."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from calibrate.data.class_list import indices_by_name
from calibrate.data.parts import Part, parts_among
from calibrate.result import Finding

#: The folders on the way to a file, and its name.
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartFolders:
    """The parts ``held`` on one ``level`` of the folders: 0 is the outermost.

    ``around`` are the folders around all parts; None where these lie below the class folders (``cat/train/1.png``).
    ``beside`` are the images that lie next to the parts, in none.
    """

    level: int
    around: Place | None
    held: frozenset[str]
    beside: tuple[str, ...]

    def holds(self, place: Place, part: str) -> bool:
        """Whether a file or folder lies in ``part``."""
        return len(place) > self.level + 1 and place[self.level] == part and self._is_around(place)

    def inside(self, place: Place) -> Place:
        """The place of a file as it would be if its part were all the data."""
        outside = () if self.around is not None else place[: self.level]
        return outside + place[self.level + 1 :]

    def top_of(self, part: str, top: str) -> str:
        """The folder around all class folders, of which ``top`` lies inside the ``part``; ends in ``/``, or nothing."""
        return top if self.around is None else "".join(f"{folder}/" for folder in (*self.around, part)) + top

    def class_folders(self, images: Iterable[Place], chosen: str) -> frozenset[Place]:
        """The folders that images of any part lie in, placed as :meth:`inside`: all parts have one numbering."""
        known = {*parts_among(self.held), chosen}
        inside = (self.inside(place) for place in images if any(self.holds(place, part) for part in known))
        return frozenset(place[:-1] for place in inside if place[1:])

    def findings(self, source: str) -> tuple[Finding, ...]:
        """What is said of the images beside the parts."""
        if not self.beside:
            return ()
        message = (
            f"{len(self.beside)} images of {source} lie beside its parts {', '.join(sorted(self.held))}, in none of "
            f"them, and were left out, the first is {self.beside[0]!r}."
        )
        return (Finding(code="images-beside-parts", severity="warning", message=message),)

    def _is_around(self, place: Place) -> bool:
        return self.around is None or place[: self.level] == self.around


def find_part_folders(
    images: Sequence[Place], elsewhere: Collection[Place], classes: Sequence[str] | None, part: Part
) -> PartFolders | None:
    """The outermost folders that are parts, or hold the one named; None where there are none.

    The class folders that lie ``elsewhere``, in other parts, are none, nor are folders of images that the list of
    ``classes`` names.

    >>> images = [("pets", "train", "cat", "1.png"), ("pets", "val", "cat", "2.png")]
    >>> find_part_folders(images, (), None, Part()).around
    ('pets',)
    """
    known = indices_by_name(classes or ())
    for level in range(max(map(len, images), default=1) - 1):
        inside = [place for place in images if len(place) > level + 1]
        held = {place[level] for place in inside}
        named = part.named is not None
        if not named and known.keys() >= held and all(len(place) == level + 2 for place in inside):
            continue
        held |= {place[level] for place in elsewhere if len(place) > level}
        if not part.among(held):
            continue
        tops = {place[:level] for place in inside}
        beside = [place for place in images if len(place) <= level + 1]
        clear = len(tops) == 1 and (named or len(set(parts_among(held).values())) > 1)
        if beside and not (clear and all(place[:-1] in tops for place in beside)):
            continue
        around = next(iter(tops)) if len(tops) == 1 else None
        return PartFolders(level, around, frozenset(held), tuple("/".join(place) for place in beside))
    return None
