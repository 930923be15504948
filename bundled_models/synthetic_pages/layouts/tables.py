"""Layouts of tabular pages: typewritten and handwritten tables, forms and index cards."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.layouts.blanks import (
    context_sheet,
    evidence_card,
    observation_sheet,
    register_sheet,
)
from bundled_models.synthetic_pages.layouts.forms import (
    card_head,
    columns_of,
    filling,
    grey_of,
    stamp,
    table,
    writer_of,
)
from bundled_models.synthetic_pages.layouts.listings import (
    library_card,
    line_printer,
    list_of_documents,
    questionnaire,
    report_form,
    typed_figures,
)
from bundled_models.synthetic_pages.layouts.stamps import office_marks
from bundled_models.synthetic_pages.layouts.texts import heading, ruled_paper, typed_body
from bundled_models.synthetic_pages.sheet import Sheet
from bundled_models.synthetic_pages.words import (
    chance,
    date,
    language,
    measure,
    number,
    phrase,
    pick,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter


def text_in_card(sheet: Sheet, tool: Typewriter | Hand, y: float, share: float = 1.0) -> float:
    """A card's text below its head, in the tool's writing; returns where it ended."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    left, room = span(rng, 5, 28), w - span(rng, 14, 45)
    bottom = (
        y
        + (h - y - 8) * (span(rng, 0.02, 0.2) if chance(rng, 0.2) else span(rng, 0.2, 1.0)) * share
    )
    top = y + span(rng, 8, 18)
    bottom = min(h - 3, max(bottom, top + 6))  # never an empty card: nobody could tell its label
    if isinstance(tool, Typewriter):
        return typed_body(sheet, tool, left, top, room, bottom, lists=0.8)
    tongue = language(rng)
    while top < bottom:
        top = tool.paragraph(
            left,
            top,
            room,
            words(rng, tongue, whole(rng, 6, 60)),
            bottom=bottom,
            indent=pick(rng, (0.0, 8.0)),
        )
    return top


def card(sheet: Sheet, tool: Typewriter | Hand) -> None:
    """An index card with its head and its text."""
    rng = sheet.rng
    fill = tool if chance(rng, 0.8) else Hand(sheet, size=2.2)
    y = card_head(sheet, writer_of(fill)[0], span(rng, 0.2, 1.0))
    text_in_card(sheet, tool, y)


def line_typed(sheet: Sheet) -> None:
    """Typed cards, tables with and without rules, lists in columns, forms filled in."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    kind = rng.random()
    machine = Typewriter(sheet)
    if chance(rng, 0.5):
        _typed_list(sheet, machine)
        return
    if kind < 0.3:
        card(sheet, machine)
        return
    if kind < 0.42:
        pick(rng, (evidence_card, evidence_card, context_sheet))(
            sheet, machine, span(rng, 0.35, 0.95)
        )
        return
    x0, x1, y = span(rng, 5, 25), w - span(rng, 4, 20), span(rng, 12, 30)
    if chance(rng, 0.6):
        text = heading(rng, language(rng))
        machine.put(
            pick(rng, (x0, w / 2 - len(text) * machine.pitch / 2)), y, text[: machine.room(w - 20)]
        )
        y += machine.leading * 1.5
    if kind < 0.6:
        table(
            sheet,
            machine.put,
            machine.pitch,
            x0,
            y,
            x1,
            h - span(rng, 6, 30),
            row=min(6.4, machine.leading) * span(rng, 1.0, 1.5),
            lines=whole(rng, 1, 4),
            full=span(rng, 0.5, 1),
        )
    elif kind < 0.85:
        typed_register(sheet, machine, x0, y, x1, h - span(rng, 8, 30))
    else:
        filled_form(sheet, machine, y)


def _typed_list(sheet: Sheet, machine: Typewriter) -> None:
    """A typed table, list, questionnaire, form or print-out, with an office's marks on some."""
    rng, kind = sheet.rng, sheet.rng.random()
    if kind < 0.45:
        typed_figures(sheet, machine)
    elif kind < 0.58:
        list_of_documents(sheet, machine)
    elif kind < 0.68:
        questionnaire(sheet, machine)
    elif kind < 0.78:
        line_printer(sheet)
    elif kind < 0.9:
        report_form(sheet, machine)
    else:
        library_card(sheet, machine)
    office_marks(sheet, pick(rng, (0.0, 0.0, 0.0, 0.6)))


def typed_register(
    sheet: Sheet, machine: Typewriter, x0: float, y: float, x1: float, bottom: float
) -> None:
    """Records in aligned columns, parted by white, hyphens or equals signs."""
    rng, tongue = sheet.rng, language(sheet.rng)
    top, letters = y, machine.room(x1 - x0)
    count = whole(rng, 3, 6)
    stops = [round(e) for e in columns_of(rng, 0, letters, count)]
    broad = max(range(count), key=lambda i: stops[i + 1] - stops[i])
    rule = pick(rng, ("", "", "-", "=", "- ", "_"))
    step, every = machine.leading, whole(rng, 1, 6)
    sparse = span(rng, 0.3, 1.0)
    if rule:
        machine.put(x0, y + step, (rule * letters)[:letters])
    parts = [phrase(rng, tongue, 1, 1)[: max(1, stops[i + 1] - stops[i] - 1)] for i in range(count)]
    machine.put(x0, y, _align(parts, stops))
    y += 2 * step
    row = 0
    while y < bottom:
        depth = whole(rng, 1, 4)
        for line in range(depth):
            parts = []
            for i in range(count):
                room = max(1, stops[i + 1] - stops[i] - 1)
                if i == broad:
                    parts.append(phrase(rng, tongue, 2, 8)[:room])
                elif line == 0 and chance(rng, sparse):
                    parts.append(
                        pick(rng, (measure(rng), number(rng), phrase(rng, tongue, 1, 1)))[:room]
                    )
                else:
                    parts.append("")
            if y < bottom:
                machine.put(x0, y, _align(parts, stops))
            y += step
        row += 1
        if rule and row % every == 0 and y < bottom:
            machine.put(x0, y, (rule * letters)[:letters])
            y += step
        elif chance(rng, 0.5):
            y += step * 0.5
    if chance(rng, 0.3):
        ink = grey_of(rng)
        for stop in stops[1:-1]:
            x = x0 + (stop - 0.6) * machine.pitch
            sheet.rule(x, top - step * 0.6, x, bottom, 0.3, ink)
    sheet.mark("table", x0, top - 3, x1, min(y, bottom))


def _align(parts: list[str], stops: list[int]) -> str:
    line = ""
    for part, stop in zip(parts, stops, strict=False):
        line = line.ljust(stop) + part
    return line


def filled_form(
    sheet: Sheet, tool: Typewriter | Hand | Print, y: float, share: float = 0.8
) -> None:
    """A printed form of framed or dotted fields with captions, filled in by `tool`."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink, tongue = grey_of(rng), language(rng)
    face = Print(sheet, pick(rng, ("sans", "serif")), span(rng, 6.5, 11), ink)
    bold = Print(sheet, pick(rng, ("sans_bold", "serif_bold")), span(rng, 11, 18), ink)
    x0, x1, top = span(rng, 6, 22), w - span(rng, 6, 22), y
    if chance(rng, 0.7):
        bold.put(pick(rng, (w / 2 - 20, x0)), y + 3, heading(rng, tongue)[:26])
        y += 9
    bottom, framed = h - span(rng, 10, 60), chance(rng, 0.6)
    if framed:
        sheet.frame(x0, y, x1, bottom, span(rng, 0.3, 0.9), ink)
    put = writer_of(tool)[0]
    letter = writer_of(tool)[1]
    while y < bottom - 9:
        depth = pick(rng, (9.0, 11.0, 14.0, 22.0))
        depth = min(depth, bottom - y)
        edges = columns_of(rng, x0, x1, whole(rng, 1, 4))
        for a, b in zip(edges, edges[1:], strict=False):
            caption = phrase(rng, tongue, 1, 2).capitalize() + (":" if chance(rng, 0.6) else "")
            face.put(
                a + 1.5, y + face.size * 1.1, caption[: max(3, int((b - a) / face.size * 1.6))]
            )
            if framed:
                sheet.rule(b, y, b, y + depth, 0.25, ink)
            else:
                sheet.rule(
                    a + 2,
                    y + depth - 1,
                    b - 2,
                    y + depth - 1,
                    0.25,
                    ink,
                    dashes=pick(rng, (0, 0.4)),
                )
            if chance(rng, share + (0.15 if isinstance(tool, Hand) else 0)):
                line = y + depth - 2.2
                while line > y + face.size + 1.5:
                    put(a + span(rng, 2, 8), line, _answer(rng, tongue, int((b - a - 6) / letter)))
                    line -= 6 if chance(rng, 0.6) else 99
        if framed:
            sheet.rule(x0, y + depth, x1, y + depth, pick(rng, (0.25, 0.25, 0.7)), ink)
        y += depth
    sheet.mark("table", x0, top, x1, bottom)


def _answer(rng: np.random.Generator, tongue: str, room: int) -> str:
    """What is filled into a field that has room for so many letters."""
    text = phrase(rng, tongue, 2, 9) if room > 20 and chance(rng, 0.5) else filling(rng)
    return text[: max(2, room)]


def line_hand(sheet: Sheet) -> None:
    """Cards, ledgers and forms filled in by hand, lists in columns."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    kind = rng.random()
    hand = Hand(sheet, size=span(rng, 1.5, 2.8))
    if kind < 0.22:
        card(sheet, hand)
    elif kind < 0.34:
        filled_form(sheet, hand, span(rng, 8, 25))
    elif kind < 0.4:
        pick(rng, (evidence_card, context_sheet))(sheet, hand, span(rng, 0.5, 1.0))
    elif kind < 0.47:
        register_sheet(sheet, hand)
    elif kind < 0.7:
        repertory(sheet, hand)
    elif kind > 0.86:
        observation_sheet(sheet)
    else:
        ruled_paper(sheet, 0.3)
        y = span(rng, 10, 25)
        if chance(rng, 0.7):
            hand.put(span(rng, 10, 40), y, heading(rng, language(rng)))
            y += 8
        head = (
            Print(sheet, pick(rng, ("serif", "sans")), span(rng, 7, 10)).put
            if chance(rng, 0.5)
            else None
        )
        table(
            sheet,
            hand.put,
            hand.letter,
            span(rng, 4, 20),
            y,
            w - span(rng, 3, 18),
            h - span(rng, 4, 20),
            row=hand.size * span(rng, 2.2, 3.2),
            head=head,
            full=span(rng, 0.9, 1.6),
        )
    if chance(rng, 0.1):
        stamp(sheet, span(rng, 5, w * 0.5), h - 35)


def repertory(sheet: Sheet, hand: Hand) -> None:
    """A register's page: printed heads, one broad column of dense writing, narrow ones beside."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink = grey_of(rng)
    face = Print(sheet, pick(rng, ("serif", "serif_bold")), span(rng, 5, 8), ink)
    x0, x1, y0 = span(rng, 3, 14), w - span(rng, 3, 14), span(rng, 8, 22)
    shares = pick(
        rng, ((0.06, 0.1, 0.15, 0.55, 0.14), (0.07, 0.12, 0.2, 0.45, 0.08, 0.08), (0.1, 0.7, 0.2))
    )
    edges = [x0]
    for part in shares:
        edges.append(edges[-1] + part * (x1 - x0))
    low = y0 + span(rng, 10, 22)
    tongue, bottom = language(rng), h - span(rng, 4, 15)
    for a, b in zip(edges, edges[1:], strict=False):
        face.paragraph(
            a + 1,
            y0 + 4,
            b - a - 2,
            [phrase(rng, "fr", 1, 2).upper() for _ in range(3)],
            justify=False,
            bottom=low - 1,
        )
    for edge in edges:
        sheet.rule(edge, y0, edge, bottom, span(rng, 0.2, 0.5), ink)
    for y in (y0, low):
        sheet.rule(x0, y, x1, y, 0.5, ink)
    broad = shares.index(max(shares))
    hand.leading = hand.size * span(rng, 2.2, 3.0)
    y = low + 8
    while y < bottom - 5:
        for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
            if i != broad and chance(rng, 0.6):
                hand.put(
                    a + 1,
                    y,
                    pick(rng, (number(rng)[:4], date(rng)[:5], phrase(rng, tongue, 1, 1)))[
                        : max(1, int((b - a) / hand.size / 0.8))
                    ],
                )
        start = y
        y = hand.paragraph(
            edges[broad] + 2,
            y,
            edges[broad + 1] - edges[broad] - 3,
            words(rng, tongue, whole(rng, 8, 45)),
            bottom=bottom,
        )
        if chance(rng, 0.5):
            sheet.rule(
                edges[broad], y - hand.leading * 0.5, edges[broad + 1], y - hand.leading * 0.5, 0.3
            )
        y = max(y, start + hand.leading) + pick(rng, (0, hand.leading * 0.5))
    sheet.mark("table", x0, y0, x1, bottom)
