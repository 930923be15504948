"""Made-up words, names, dates and numbers in the languages of the archives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from numpy.random import Generator

T = TypeVar("T")

_WORDS = {
    "cs": """
        a v na se že je do od pro při kde byl byla byly nález nálezu hrob hrobu nádoba
        střep střepy keramika výzkum zpráva ústav muzeum okres obec parcela pole cihelna
        jáma objekt vrstva hloubka kostra kostry popelnice sídliště hradiště kultura
        únětická laténská slovanská pravěké archeologický nalezeno zjištěno uloženo
        popsáno jihozápadní severní okraj zlomek okraje dno výdutě ucho zdobený hladký
        šedé hnědé barvy rozměry výška průměr délka asi podle pan ředitel učitel rolník
        dělník cesta potok les kopec kostel zámek škola stavba základy zdivo písek hlína
        spraš kámen pazourek sekeromlat bronz železo jehlice náramek korál mince dále také
        ještě avšak protože
    """,
    "de": """
        der die das und in zu von mit auf für bei wurde wurden Fund Grab Gefäß Scherben
        Boden Ausgrabung Bericht Museum Bezirk Gemeinde Feld Ziegelei Grube Schicht Tiefe
        Skelett Urne Siedlung Burg Kultur vorgeschichtlich gefunden liegt nördlich Rand
        Bruchstück Höhe Durchmesser Länge etwa nach Herr Lehrer Bauer Weg Bach Wald Berg
        Kirche Schloß Schule Mauer Sand Lehm Stein Feuerstein Bronze Eisen Nadel Armring
        Münze ferner auch jedoch weil Oberfläche
    """,
    "en": """
        the of and in to from with on for at was were found grave vessel sherds layer
        excavation report museum district field pit depth skeleton urn settlement hillfort
        culture prehistoric north edge fragment height diameter length about according
        teacher farmer road stream forest hill church castle school wall sand clay stone
        flint bronze iron needle bracelet coin further also however because area site
        features pottery analysis development early
    """,
    "fr": """
        le la les des et en du de pour avec sur par est sont été fouille tombe vase
        tessons couche rapport musée district champ fosse profondeur squelette urne
        habitat culture nord bord fragment hauteur diamètre longueur environ selon
        monsieur instituteur route ruisseau forêt colline église château école mur sable
        argile pierre silex bronze fer aiguille bracelet monnaie aussi cependant parce
        notaire acte vente madame demeurant obligation procuration
    """,
}
WORDS = {tongue: tuple(text.split()) for tongue, text in _WORDS.items()}
_PLACES = """
    Praha Brno Kladno Libušín Slaný Rychnov Kostelec Louny Teplice Most Žatec Kolín Mělník
    Litoměřice Chrudim Písek Tábor Bubeneč Vokovice Liberec Jičín Sovolusky Zbiroh Beroun
    Stradonice Budeč Bylany Makotřasy Úholičky Řepov Vlněves Lično
"""
PLACES = tuple(_PLACES.split())
_NAMES = """
    Novák Svoboda Dvořák Černý Procházka Kučera Veselý Horák Němec Pokorný Böhm Stocký Filip
    Žebera Kytlicová Řehák Hrubý Mareš Šimek Zápotocký Hellich Felcman Domečka Axamit Schránil
    Knorr Píč Jíra Bayer Meduna Urban Moucha
"""
NAMES = tuple(_NAMES.split())


def pick(rng: Generator, items: Sequence[T]) -> T:
    """One of `items`, all alike likely."""
    return items[int(rng.random() * len(items))]


def chance(rng: Generator, share: float) -> bool:
    """True in `share` (0 to 1) of the cases."""
    return rng.random() < share


def span(rng: Generator, low: float, high: float) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * rng.random()


def whole(rng: Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def language(rng: Generator) -> str:
    """A language code; Czech is the most frequent."""
    return pick(rng, ("cs", "cs", "cs", "de", "de", "en", "fr"))


def words(rng: Generator, tongue: str, count: int) -> list[str]:
    """`count` words with sentence capitals, stops, commas and some numbers."""
    stock, out, fresh = WORDS[tongue], [], True
    for _ in range(count):
        roll = rng.random()
        word = pick(rng, stock) if roll > 0.05 else str(whole(rng, 1, 1999))
        if fresh:
            word, fresh = word[:1].upper() + word[1:], False
        elif roll > 0.95:
            word = pick(rng, NAMES if roll > 0.97 else PLACES)
        ending = rng.random()
        if ending < 0.08:
            word, fresh = word + ".", True
        elif ending < 0.18:
            word += ","
        out.append(word)
    return out


def sentence(rng: Generator, tongue: str, low: int = 4, high: int = 14) -> str:
    """One sentence of `low` to `high` words."""
    return " ".join(words(rng, tongue, whole(rng, low, high))).rstrip(".,") + "."


def phrase(rng: Generator, tongue: str, low: int = 1, high: int = 3) -> str:
    """Some words without a stop, as stands in a table's cell or a heading."""
    return " ".join(pick(rng, WORDS[tongue]) for _ in range(whole(rng, low, high)))


def number(rng: Generator) -> str:
    """An inventory, file or parcel number."""
    a, b = whole(rng, 1, 9999), whole(rng, 19, 99)
    return pick(
        rng,
        (
            f"{a}/{b}",
            f"č.j. {a}/{b}",
            f"A {a}",
            f"{a}",
            f"{a % 100}-A-{b}",
            f"P-{a}",
            f"{a % 300}.",
            f"{b}.{a % 1000:03d}",
        ),
    )


def date(rng: Generator) -> str:
    """A day of the twentieth century."""
    day, month, year = whole(rng, 1, 28), whole(rng, 1, 12), whole(rng, 1905, 2008)
    return pick(
        rng,
        (
            f"{day}.{month}.{year}",
            f"{day}. {month}. {year}",
            f"{day}/{month} {year}",
            f"{year}",
            f"{day}.{month:02d}.{year % 100:02d}",
        ),
    )


def measure(rng: Generator) -> str:
    """A short figure with a unit, as stands in columns."""
    value = span(rng, 0.2, 99)
    return pick(
        rng,
        (
            f"{value:.1f}",
            f"{int(value)}",
            f"{value:.2f}",
            f"{int(value)} mm",
            f"{value:.1f} cm",
            f"{int(value * 37)}",
            "-",
            '"',
        ),
    )


def cell(rng: Generator, tongue: str) -> str:
    """What stands in a narrow cell of a table."""
    roll = rng.random()
    if roll < 0.3:
        return measure(rng)
    if roll < 0.45:
        return number(rng)
    if roll < 0.55:
        return date(rng)
    return phrase(rng, tongue, 1, 2)
