"""Real pictures for artificial pages: photographs, ground and clip art of Debian packages.

Everything in `SOURCES` is in the public domain or asks for no more than credit, and comes with

    apt-get install --no-install-recommends lomiri-wallpapers-16.04 ufoai-textures openclipart-png

Whatever is missing is done without: photographs and drawings are then made up of noise and shapes.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from bundled_models.synthetic_pages.words import chance, pick, span

# What a picture may serve as, with the most pixels of its longer side that are kept.
KINDS: dict[str, int] = {"photo": 900, "ground": 512, "object": 320, "drawing": 420}
_SKY = (236, 240, 244)
_EXTENSIONS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Source:
    """Pictures of one Debian package.

    `root` is a folder, or a zip archive of which `names` are members; `names` are patterns of
    paths below it.
    """

    package: str
    licence: str
    kind: str
    root: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """One picture: a file, or the member of that name of a zip archive."""

    file: Path
    member: str = ""


_WALLPAPERS = (
    "*_by_Aitzol_Berasategi.jpg", "*_by_freespace.jpg", "*_by_Clements_Engelhardt.jpg",
    "*_by_Jakkub_Mede.jpg",
)  # fmt: skip
_DEDICATED = (
    "nature/desert009", "nature/dirt002", "nature/dirt003", "nature/jungle001",
    "nature/jungle002", "nature/potatoes", "nature/railway", "nature/rock017", "nature/rock018",
    "nature/stone001", "buildings/floor005", "buildings/floor_wood01", "buildings/paving001",
    "buildings/roof004",
)  # fmt: skip
_ATTRIBUTED = ("floor021", "wall023", "wall024", "wall025")
_CLIP_ART = (
    "animals/*", "animals/bugs/*", "animals/fish/*", "animals/mammals/*", "animals/dinosaurs/*",
    "buildings/*", "buildings/furniture/*", "buildings/homes/*", "containers/*",
    "decorations/*", "geography/*", "people/clothing/jewelry/*", "plants/*",
    "recreation/religion/*", "tools/*", "tools/weapons/*",
)  # fmt: skip
_OPEN_CLIP_ART = Path("/usr/share/openclipart/png")
_TEXTURES = Path("/usr/share/games/ufoai/base/0textures.pk3")

# Order is part of the seed's meaning. Pictures under GPL or another share-alike licence, which are
# the most of the first two packages, are left alone: see each package's `copyright`.
SOURCES: tuple[Source, ...] = (
    Source(
        "lomiri-wallpapers-16.04",
        "CC-BY-4.0 (Aitzol Berasategi, Trevor Freespace, Jakub Mede), CC0-1.0 (Clemens Engelhardt)",
        "photo",
        Path("/usr/share/backgrounds"),
        _WALLPAPERS,
    ),
    Source(
        "ufoai-textures",
        "public domain",
        "ground",
        _TEXTURES,
        tuple(f"textures/tex_{name}.png" for name in _DEDICATED),
    ),
    Source(
        "ufoai-textures",
        "CC-BY-3.0 (Nate Wright, Ernst Wurdack, Hannes Grobe)",
        "ground",
        _TEXTURES,
        tuple(f"textures/tex_buildings/{name}.png" for name in _ATTRIBUTED),
    ),
    Source("openclipart-png", "public domain", "drawing", _OPEN_CLIP_ART, _CLIP_ART),
)


def _listed(source: Source) -> list[Picture]:
    """The pictures of `source` that are installed, sorted by name; none of relief maps."""
    if source.root.is_file():
        with zipfile.ZipFile(source.root) as archive:
            members = sorted(archive.namelist())
        found = [
            Picture(source.root, name)
            for name in members
            if any(fnmatchcase(name, pattern) for pattern in source.names)
        ]
    else:
        files = {file for name in source.names for file in source.root.glob(name)}
        found = [Picture(file) for file in sorted(files)]
    named = [(picture, Path(picture.member or picture.file.name)) for picture in found]
    return [
        picture
        for picture, name in named
        if name.suffix.lower() in _EXTENSIONS and not name.stem.endswith(("_nm", "_sm", "_gm"))
    ]


@lru_cache(maxsize=len(KINDS))
def pictures(kind: str) -> tuple[Picture, ...]:
    """The installed pictures of `kind`, in an order that every machine shares; maybe none."""
    return tuple(
        picture for source in SOURCES if source.kind == kind for picture in _listed(source)
    )


def missing_packages() -> list[str]:
    """Packages of `SOURCES` of which no picture is installed, to be named to whoever trains."""
    return sorted({source.package for source in SOURCES if not _listed(source)})


@lru_cache(maxsize=1024)
def _kept(picture: Picture, limit: int) -> bytes:
    """The picture at most `limit` pixels long, encoded again: about 50 to 150 kB to remember."""
    if picture.member:
        with zipfile.ZipFile(picture.file) as archive:
            content = io.BytesIO(archive.read(picture.member))
    else:
        content = io.BytesIO(picture.file.read_bytes())
    out = io.BytesIO()
    with Image.open(content) as image:
        image.draft("RGB", (limit, limit))
        seen = image.convert("RGBA")
    seen.thumbnail((limit, limit), Image.Resampling.BOX, reducing_gap=2.0)
    if limit in (KINDS["object"], KINDS["drawing"]):
        seen.save(out, "PNG", compress_level=1)
    else:
        full = Image.new("RGBA", seen.size, (*_SKY, 255))
        full.alpha_composite(seen)
        full.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def opened(picture: Picture, kind: str) -> Image.Image:
    """The picture of `kind`: RGBA for objects and drawings, else RGB."""
    with Image.open(io.BytesIO(_kept(picture, KINDS[kind]))) as image:
        image.load()
        return image


def some_picture(rng: np.random.Generator, kind: str) -> Image.Image | None:
    """A picture of `kind` as it is, flipped as often as not; None where none is installed."""
    found = pictures(kind)
    if not found:
        return None
    image = opened(pick(rng, found), kind)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance(rng, 0.5) else image


def some_crop(
    rng: np.random.Generator, kind: str, size: tuple[int, int], least: float = 0.35
) -> Image.Image | None:
    """A random part of a picture of `kind` at `size`, RGB; None where none is installed.

    The part is at least `least` (0 to 1) of the largest one of that shape.
    """
    image = some_picture(rng, kind)
    if image is None:
        return None
    width, height = image.size
    fit = min(width / size[0], height / size[1]) * span(rng, least, 1.0)
    across, down = size[0] * fit, size[1] * fit
    left, top = (width - across) * rng.random(), (height - down) * rng.random()
    return image.convert("RGB").resize(
        size, Image.Resampling.BILINEAR, (left, top, left + across, top + down)
    )
