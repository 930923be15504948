"""Fonts for artificial pages: which files serve as print, typewriter or handwriting.

On Debian and Ubuntu everything in `FAMILIES` comes with

    apt-get install fonts-liberation fonts-dejavu fonts-freefont-ttf fonts-linuxlibertine \\
        fonts-lmodern fonts-ebgaramond fonts-gfs-didot fonts-georgewilliams fonts-oldstandard \\
        fonts-sil-gentium-basic fonts-crosextra-carlito fonts-crosextra-caladea fonts-lato \\
        fonts-essays1743 fonts-dustin fonts-gnutypewriter fonts-courier-prime fonts-compagnon \\
        fonts-isabella fonts-joscelyn fonts-breip fonts-bwht fonts-dancingscript \\
        fonts-dkg-handwriting fonts-ecolier-court fonts-femkeklaver fonts-havana fonts-kristi \\
        fonts-rufscript fonts-sjfonts fonts-goudybookletter fonts-klee fonts-humor-sans \\
        fonts-kaushanscript fonts-blankenburg fonts-gamaliel fonts-junicode

Whatever is missing is done without: matplotlib's own DejaVu fonts serve where no family of a role
is installed.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from functools import lru_cache
from pathlib import Path

from numpy.random import Generator
from PIL import ImageFont

# Role -> (file name without extension, Debian package). Order is part of the seed's meaning.
FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "serif": (
        ("LiberationSerif-Regular", "fonts-liberation"),
        ("FreeSerif", "fonts-freefont-ttf"),
        ("LinLibertine_R", "fonts-linuxlibertine"),
        ("lmroman10-regular", "fonts-lmodern"),
        ("EBGaramond12-Regular", "fonts-ebgaramond"),
        ("GFSDidot", "fonts-gfs-didot"),
        ("CaslonRoman", "fonts-georgewilliams"),
        ("OldStandard-Regular", "fonts-oldstandard"),
        ("GenBasR", "fonts-sil-gentium-basic"),
        ("Caladea-Regular", "fonts-crosextra-caladea"),
        ("GoudyBookletter1911", "fonts-goudybookletter"),
        ("Essays1743", "fonts-essays1743"),
        ("DejaVuSerif", "fonts-dejavu"),
        ("JunicodeTwoBeta-Regular", "fonts-junicode"),
        ("JunicodeTwoBeta-Condensed", "fonts-junicode"),
    ),
    "serif_bold": (
        ("LiberationSerif-Bold", "fonts-liberation"),
        ("FreeSerifBold", "fonts-freefont-ttf"),
        ("LinLibertine_RB", "fonts-linuxlibertine"),
        ("lmroman10-bold", "fonts-lmodern"),
        ("EBGaramond12-Bold", "fonts-ebgaramond"),
        ("OldStandard-Bold", "fonts-oldstandard"),
        ("CaslonBold", "fonts-georgewilliams"),
        ("DejaVuSerif-Bold", "fonts-dejavu"),
    ),
    "serif_italic": (
        ("LiberationSerif-Italic", "fonts-liberation"),
        ("FreeSerifItalic", "fonts-freefont-ttf"),
        ("LinLibertine_RI", "fonts-linuxlibertine"),
        ("OldStandard-Italic", "fonts-oldstandard"),
        ("EBGaramond12-Italic", "fonts-ebgaramond"),
        ("DejaVuSerif-Italic", "fonts-dejavu"),
    ),
    "sans": (
        ("LiberationSans-Regular", "fonts-liberation"),
        ("LiberationSansNarrow-Regular", "fonts-liberation"),
        ("FreeSans", "fonts-freefont-ttf"),
        ("DejaVuSans", "fonts-dejavu"),
        ("DejaVuSansCondensed", "fonts-dejavu"),
        ("Carlito-Regular", "fonts-crosextra-carlito"),
        ("Lato-Regular", "fonts-lato"),
        ("lmsans10-regular", "fonts-lmodern"),
        ("LinBiolinum_R", "fonts-linuxlibertine"),
    ),
    "sans_bold": (
        ("LiberationSans-Bold", "fonts-liberation"),
        ("LiberationSansNarrow-Bold", "fonts-liberation"),
        ("FreeSansBold", "fonts-freefont-ttf"),
        ("Carlito-Bold", "fonts-crosextra-carlito"),
        ("DejaVuSans-Bold", "fonts-dejavu"),
    ),
    "blackletter": (
        ("Caslon-Black", "fonts-georgewilliams"),
        ("Isabella", "fonts-isabella"),
        ("Blankenburg_UNZ1A", "fonts-blankenburg"),
        ("Gamaliel", "fonts-gamaliel"),
    ),
    "type": (
        ("GNUTypewriter", "fonts-gnutypewriter"),
        ("Courier Prime", "fonts-courier-prime"),
        ("Courier Prime Bold", "fonts-courier-prime"),
        ("FreeMono", "fonts-freefont-ttf"),
        ("FreeMonoBold", "fonts-freefont-ttf"),
        ("LiberationMono-Regular", "fonts-liberation"),
        ("lmmono10-regular", "fonts-lmodern"),
        ("lmmono8-regular", "fonts-lmodern"),
        ("lmmonolt10-regular", "fonts-lmodern"),
        ("lmmonolt10-bold", "fonts-lmodern"),
        ("Compagnon-Roman", "fonts-compagnon"),
        ("Compagnon-Medium", "fonts-compagnon"),
        ("DejaVuSansMono", "fonts-dejavu"),
    ),
    "hand": (
        ("Breip", "fonts-breip"),
        ("DancingScript-Regular", "fonts-dancingscript"),
        ("BecauseWeLearn-Regular", "fonts-bwht"),
        ("dkg", "fonts-dkg-handwriting"),
        ("dkgIt", "fonts-dkg-handwriting"),
        ("Ecolier-court", "fonts-ecolier-court"),
        ("femkeklaver", "fonts-femkeklaver"),
        ("Havana-Regular", "fonts-havana"),
        ("Kristi", "fonts-kristi"),
        ("Rufscript010", "fonts-rufscript"),
        ("SteveHand", "fonts-sjfonts"),
        ("Delphine", "fonts-sjfonts"),
        ("Joscelyn-Regular", "fonts-joscelyn"),
        ("Domestic_Manners", "fonts-dustin"),
        ("KleeOne-Regular", "fonts-klee"),
        ("KleeOne-SemiBold", "fonts-klee"),
        ("Humor-Sans", "fonts-humor-sans"),
        ("KaushanScript-Regular", "fonts-kaushanscript"),
    ),
}
_FALLBACK = {
    "serif": "DejaVuSerif",
    "serif_bold": "DejaVuSerif-Bold",
    "serif_italic": "DejaVuSerif-Italic",
    "sans": "DejaVuSans",
    "sans_bold": "DejaVuSans-Bold",
    "blackletter": "DejaVuSerif-Bold",
    "type": "DejaVuSansMono",
}


def font_folders() -> list[Path]:
    """Folders searched for font files, the system's first, matplotlib's own last."""
    folders = [
        Path("/usr/share/fonts"),
        Path("/usr/share/texmf/fonts"),
        Path("/usr/local/share/fonts"),
        Path.home() / ".fonts",
        Path.home() / ".local/share/fonts",
        Path("/Library/Fonts"),
        Path("/System/Library/Fonts"),
    ]
    if sys.platform == "win32":
        folders.append(Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts")
    import matplotlib

    return [*folders, Path(matplotlib.get_data_path()) / "fonts" / "ttf"]


@lru_cache(maxsize=1)
def installed_files() -> dict[str, str]:
    """Font files by name without extension; the first of `font_folders` that has one wins."""
    found: dict[str, str] = {}
    for folder in font_folders():
        for where, _, names in os.walk(folder):
            for name in sorted(names):
                file = Path(where, name)
                if file.suffix.lower() in (".ttf", ".otf"):
                    found.setdefault(file.stem, str(file))
    return found


@lru_cache(maxsize=16)
def role_files(role: str) -> tuple[str, ...]:
    """Paths of the installed fonts of `role`; empty only for "hand" when no hand is installed."""
    installed = installed_files()
    files = tuple(installed[stem] for stem, _ in FAMILIES[role] if stem in installed)
    if not files and role in _FALLBACK:
        return (installed[_FALLBACK[role]],)
    return files


def pick_font(role: str, rng: Generator) -> str | None:
    """One installed font file of `role`, or None when there is none."""
    files = role_files(role)
    return files[int(rng.random() * len(files))] if files else None


@lru_cache(maxsize=400)
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The font at `size` pixels, kept open; basic layout, as no shaping is needed."""
    return ImageFont.truetype(path, max(4, size), layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=200)
def has_czech(path: str) -> bool:
    """Whether the font draws a letter with a caron that is not its box for missing ones."""
    font = open_font(path, 24)
    return bytes(font.getmask("ř")) not in (bytes(font.getmask("\uffff")), b"")


@lru_cache(maxsize=20000)
def drawable(path: str, text: str) -> str:
    """`text` as the font can draw it: without diacritics where it has none."""
    if has_czech(path):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return plain or "o"
