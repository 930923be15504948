"""The words and sentence shapes that `trait_texts` makes descriptions of.

A rule is a name and its alternatives, parted by `|`. In an alternative `<name>` stands for another
rule and `[...]` for a part that half of the texts leave out. `<w.name>` and `<m.name>` are looked
up under the way of writing (`hand`, `print`, `type`) and the kind of picture (`draw`, `photo`) that
are being described. `a` becomes `an` where the next word asks for it. No rule leads back to itself,
so the texts can be counted and `test_trait_texts.py` can say whether one belongs to them.
"""

from __future__ import annotations

# The page, whatever is on it; none of these words may hint at a label.
_PAGES = {
    "page": "page | page | sheet | leaf | side | paper | scanned page | archive page | folio",
    "pages": "pages | sheets | leaves | scanned pages | papers",
    "old": """old | yellowed | faded | archival | historical | worn | single | loose | plain
        | modern""",
    "about": """on an excavation | about a find | on a site | from a museum | from an archive
        | of an institute | on the history of a town | about a grave | from the last century
        | about a castle | of a society | on a cave | from a parish | about a journey""",
    "from": """from a museum | from an archive | of an institute | of a parish
        | from an excavation | of a society | of a town | from the last century | of finds
        | of graves | of a school | from a census""",
    "subject": """of a trench | of a castle | of a pottery vessel | of a grave | of a village
        | of stone tools | of a church | of a building | of a skeleton | of a landscape
        | of a coin | of a hillfort | of a bronze pin | of small finds | of a town | of a site
        | of a machine | of sherds | of a wall | of a burial mound | of a street
        | of an excavation""",
    "withpage": """with a page number | with a stamp in the corner | with wide margins
        | with a date | with a heading | with small margins | with stains | with a torn edge
        | with two holes""",
}

# How the writing was made; `look` is what gives it away.
_HAND = {
    "hand.adj": "handwritten | handwritten | hand-written | manuscript | cursive | pencilled",
    "hand.part": """written by hand | in handwriting | written in ink | written in pencil
        | written with a pen | in cursive handwriting | in a cursive hand
        | written with pen and ink | penned by hand | all by hand | in old handwriting
        | done in handwriting""",
    "hand.noun": """handwriting | cursive handwriting | handwritten lines | writing by hand
        | pen and ink handwriting | pencil handwriting | manuscript writing | neat handwriting
        | hasty handwriting | handwritten words | handwritten script""",
    "hand.filled": """filled in by hand | filled out by hand | completed by hand
        | filled in with a pen | filled out in ink | completed in pencil
        | with handwritten entries | with entries in ink | with handwriting in its <cells>
        | kept by hand | with cursive entries""",
    "hand.look": """slanting letters | joined letters | uneven strokes | crossed-out words
        | ink blots | loops and flourishes | lines that rise and fall | letters of every size
        | strokes of a pen""",
    "hand.without": """without print | without any typewriting | with no printed text
        | with neither print nor typewriting | without typed or printed words | not typed
        | not printed | no typewriter and no print""",
    "hand.item": """letter | note | diary page | field diary | notebook page | draft | report
        | postcard | memoir | lecture draft | excavation diary | logbook page | speech
        | statement | document | deed | receipt""",
    "hand.items": """letters | notes | diaries | notebooks | drafts | documents | reports
        | messages | memoirs | excavation diaries""",
}
_TYPE = {
    "type.adj": """typed | typed | typewritten | typewritten | type-written | machine-typed
        | typewriter-written""",
    "type.part": """made on a typewriter | written on a typewriter | typed on a typewriter
        | written with a typewriter | in typescript | in typewriting | in typewriter letters
        | produced on a typewriter | in typewritten characters | typed on a machine
        | typed throughout | typed by machine""",
    "type.noun": """typewriting | typescript | typewritten text | typed lines | typed text
        | typewriter letters | typewriter text | typewritten lines | typed words
        | text from a typewriter | monospaced typewriter text""",
    "type.filled": """filled in with a typewriter | filled out on a typewriter
        | with typed entries | completed on a typewriter | with typewritten entries
        | with typewriting in its <cells> | filled in by typewriter | typed into its <cells>
        | kept on a typewriter""",
    "type.look": """letters of equal width | uneven black letters | overstruck letters
        | monospaced letters | a fixed pitch | letters dancing on the line
        | smudged carbon letters | a fixed letter width | slightly blurred characters
        | ribbon marks of uneven strength""",
    "type.without": """without handwriting | without any print | without handwritten notes
        | with neither print nor handwriting | not handwritten | not printed
        | without handwritten or printed words | no handwriting and no print""",
    "type.item": """letter | report | memorandum | statement | copy of a letter
        | excavation report | field report | expert opinion | draft of an article | circular
        | application | notice | lecture | contract | document | certificate | travel report
        | protocol""",
    "type.items": """letters | reports | memoranda | statements | documents | field reports
        | circulars | notices | protocols | carbon copies of letters""",
}
_PRINT = {
    "print.adj": "printed | printed | printed | typeset | letterpress | laser-printed",
    "print.part": """in print | set in type | printed in letterpress | printed by a press
        | in printed letters | from a printing press | in small print
        | printed by a laser printer | set in a serif typeface | printed in a proportional font
        | printed throughout | typeset throughout | printed by machine""",
    "print.noun": """print | printed text | typeset text | printed lines | printed words
        | printed letters | small print | letterpress text | text set in type | clean print
        | laser-printed text""",
    "print.filled": """with printed entries | with typeset entries | with printed figures
        | printed throughout | with print in its <cells> | filled in by a printer only
        | completed in print | with entries in print""",
    "print.look": """even letter spacing | sharp black letters | justified lines
        | a serif typeface | bold headings | letters of different width | hyphenated lines
        | small even type | italics here and there | a proportional typeface""",
    "print.without": """without handwriting | without any typewriting
        | with no handwritten notes | with neither handwriting nor typewriting | not typed
        | not handwritten | without handwritten or typewritten words
        | no handwriting and no typewriting""",
    "print.item": """book page | article | journal page | newspaper article | chapter
        | title page | page of a book | page of a journal | preface | leaflet | report
        | annual report | paper | publication | newspaper page | poster text | law | decree
        | magazine page""",
    "print.items": """books | articles | newspapers | journals | publications | book pages
        | leaflets | annual reports | magazines | decrees""",
}

# Running text in one way of writing: TEXT_HW, TEXT_P, TEXT_T.
_TEXT = {
    "prose": "text | page | paragraphs | prose | lines | page of text | pages | sentences | leaf",
    "writing": "text | prose | words | lines | sentences",
    "asprose": """in paragraphs | in continuous prose | as running text | in full sentences
        | line after line | as continuous text | in one block of text | in long paragraphs
        | as plain text""",
    "noframe": """without a table | without tables or pictures | with no table and no picture
        | not in a table | with neither a table nor a photograph | without any drawing or table
        | without rows and columns | no table | without pictures
        | with no pictures and no tables""",
    "text.detail": """with <w.look> | <w.without> | <noframe> | <noframe>
        | with <w.look> , <noframe> | <w.without> and <noframe> | <asprose> , <noframe>
        | <withpage> | <asprose> <withpage>""",
    "text.short": """<w.adj> <prose> | <old> <w.adj> <prose> | <w.adj> <w.item>
        | <w.adj> <w.items> | a <page> of <w.noun> | only <w.noun> | running text <w.part>
        | <w.noun> <asprose> | prose <w.part> | paragraphs <w.part> | <w.noun> , <noframe>
        | pages of <w.noun> | nothing but <w.noun> | <w.adj> <prose> , <noframe>""",
    "text.medium": """a [<old>] <w.adj> <w.item> [<asprose>]
        | a [<old>] <page> of <w.noun> <asprose> | a <page> with nothing but <w.noun>
        | a <w.item> [<about>] <w.part> | [<old>] paragraphs [<about>] <w.part>
        | <w.adj> <writing> <asprose> | a <page> that holds only <w.noun>
        | a [<old>] <page> filled with <w.noun> | <w.adj> <w.items> [<about>]
        | the <w.adj> text of a <w.item> | a <page> of text <w.part>
        | a <page> of continuous <w.noun> | <pages> of <w.noun> <asprose>
        | a <page> from a <w.adj> <w.item> | a <page> on which all the text is <w.part>
        | text <asprose> , <w.part>""",
    "text.long": """<text.medium> , <text.detail> | <text.medium> , <text.detail>
        | a [<old>] <w.item> <about> , <w.part> <asprose>
        | a [<old>] <page> , <w.part> , <text.detail>
        | this <page> holds <w.noun> <asprose> , <noframe>
        | the <page> is <w.part> <asprose> , <noframe>""",
}

# Writing in a table or form: LINE_HW, LINE_P, LINE_T.
_LINE = {
    "grid": "rows and columns | columns | ruled rows | boxes | cells | form fields | a grid",
    "cells": "columns | cells | boxes | fields | rows | blanks",
    "ruled": "tabular | columned | ruled | ruled",
    "table": """table | form | register | ledger | inventory table | list in columns
        | tabular list | table of finds | index card | census form | record card | account book
        | catalogue card | invoice form | list of graves in columns | tabular page
        | record sheet with <cells> | page laid out as a table | page in table form
        | card with form fields""",
    "tables": """tables | forms | registers | ledgers | index cards | tabular lists
        | tabular pages | record cards | lists in columns | account books""",
    "intable": """in a table | in a form | in columns | in rows and columns | in a ruled table
        | in the cells of a table | in the fields of a form | in tabular layout | in a grid
        | on the lines of a form | in the boxes of a card | in a register""",
    "nopicture": """without pictures | without a photograph or drawing | no picture
        | without any image | not in paragraphs | without running text
        | with no drawing and no photograph | instead of paragraphs | without prose""",
    "line.detail": """with <w.look> | <w.without> | <nopicture> | with <grid>
        | <w.without> , <nopicture> | <withpage> | divided into <grid> | <nopicture>
        | with columns for name , date and place | with a ruled line below every row
        | with numbers in the last column""",
    "line.short": """<w.adj> <table> | <w.adj> <tables> | <table> <w.part> | <tables> <w.part>
        | form <w.filled> | table <w.filled> | card <w.filled> | <w.noun> <intable>
        | <old> <w.adj> <table> | <w.adj> entries <intable> | tabular page of <w.noun>
        | table of <w.noun> | <w.adj> columns | <w.adj> rows and columns | forms <w.filled>""",
    "line.medium": """a [<old>] <w.adj> <table> [<from>] | a <table> [<from>] <w.part>
        | a [<old>] form [<from>] <w.filled> | a <ruled> <page> with <w.noun> in its <cells>
        | a <page> of <w.adj> entries <intable> | <w.noun> arranged in <grid>
        | a <table> whose <cells> hold <w.noun> | a <page> with <w.noun> <intable>
        | the <w.adj> <cells> of a <table> | a <table> with <w.adj> words and numbers
        | a <page> in table form , <w.filled> | <w.adj> <tables> with <grid>
        | a <table> of <w.noun> | numbers and words <intable> , <w.part>
        | a table or form , <w.part> | a <table> in which every entry is <w.part>""",
    "line.long": """<line.medium> , <line.detail> | <line.medium> , <line.detail>
        | a [<old>] <table> <from> , <w.part> , <line.detail>
        | this <page> has a table with <w.noun> in its <cells>
        | the <page> is divided into <grid> with <w.noun>
        | a <page> divided into <grid> , <w.filled>""",
    "line.hand": """<line.short> | <line.medium> | <line.long> | <line.long>
        | a printed form [<from>] <hand.form>""",
    "hand.form": """filled in by hand | completed in handwriting | filled out with a pen
        | whose <cells> hold handwriting | with handwritten entries""",
    "line.type": """<line.short> | <line.medium> | <line.long> | <line.long>
        | a printed form [<from>] <type.form>""",
    "type.form": """filled in with a typewriter | completed on a typewriter
        | whose <cells> hold typewriting | with typewritten entries""",
    "line.print": "<line.short> | <line.medium> | <line.long> | <line.long> | <line.print.only>",
    "line.print.only": """a printed table from a <print.source>
        | an empty printed form [<from>] | a table of statistics in print
        | a printed form that nobody has filled in | printed figures under column headings
        | a printed index in columns | a computer printout in columns
        | a page of a printed catalogue in table form | a printed form left blank
        | a form [<from>] not filled in | printed forms left blank
        | a printed card with empty <cells>""",
    "print.source": "book | journal | newspaper | magazine | report | publication | directory",
}

# Several ways of writing on one page: TEXT.
_MIXED = {
    "mix.a": "print | printed text | printed lines | typeset text | a printed letterhead",
    "mix.b": "typewriting | typed text | typewritten lines | typescript | typewriter text",
    "mix.c": """handwriting | handwritten notes | handwritten remarks | a handwritten signature
        | notes in ink | pencil notes | handwritten corrections""",
    "mix.two": """<mix.a> and <mix.c> | <mix.b> and <mix.c> | <mix.a> and <mix.b>
        | <mix.a> , <mix.b> and <mix.c> | <mix.c> and <mix.b>""",
    "mix.item": """letter | document | report | page | official document | note | text
        | article | postcard | certificate | application | copy | notice | memorandum""",
    "mix.marked": """with handwritten notes | annotated by hand | with notes in ink
        | corrected by hand | with handwritten remarks in the margin | with pencil notes
        | signed and stamped , with notes by hand""",
    "mix.ways": "ways of writing | kinds of writing | kinds of text | sorts of script",
    "mix.short": """mixed writing | mixed text | <mix.two> | typed <mix.item> <mix.marked>
        | printed <mix.item> <mix.marked> | mixed <mix.ways> | text of mixed kinds
        | print , handwriting and typewriting | mixed print and handwriting
        | various <mix.ways>""",
    "mix.medium": """a [<old>] <page> that mixes <mix.two>
        | a <page> with both <mix.a> and <mix.c> | <mix.b> with <mix.c> | <mix.a> with <mix.c>
        | a [<old>] <mix.item> with <mix.two> | a typed <mix.item> [<about>] <mix.marked>
        | a printed <mix.item> [<about>] <mix.marked>
        | a typewritten <mix.item> with a printed letterhead and a handwritten signature
        | paragraphs in several <mix.ways> | a <mix.item> [<about>] in different <mix.ways>
        | <mix.two> together on a <page> | a mixture of <mix.two>
        | a <page> of mixed <mix.ways> | a <page> on which <mix.two> meet
        | a cutting from a newspaper <mix.marked>
        | text partly printed and partly written by hand
        | text partly typed and partly handwritten
        | more than one kind of writing on the same <page>""",
    "mix.long": """<mix.medium> , <noframe> | a <mix.item> <about> that combines <mix.two>
        | a [<old>] <page> where <mix.two> stand side by side [, <noframe>]
        | this <page> mixes <mix.two> [, <noframe>] | <mix.medium> , <asprose>
        | <mix.medium> , <withpage>""",
}

# Pictures, alone on the page or in a tabular layout: DRAW, PHOTO, DRAW_L, PHOTO_L.
_PICTURES = {
    "draw.noun": """drawing | sketch | plan | map | diagram | illustration | painting
        | engraving | ground plan | cross-section | schematic | site plan | chart | pen drawing
        | technical drawing | ink drawing | pencil sketch | line drawing""",
    "draw.nouns": """drawings | sketches | plans | maps | diagrams | illustrations | paintings
        | engravings | line drawings | schematics | pen drawings""",
    "draw.adj": """hand-drawn | coloured | detailed | simple | archaeological | delicate
        | careful | rough | shaded""",
    "draw.made": """drawn in ink | drawn in pencil | drawn by hand | in thin lines | in ink
        | in watercolours | drawn to scale | in black lines | shaded with dots
        | with a scale bar | with a north arrow | with dimensions""",
    "draw.not": "without a photograph | without any photograph | not a photograph | no photograph",
    "photo.noun": """photograph | photograph | photo | photographic print | snapshot
        | photographic plate | photographic image | photographic picture
        | picture taken with a camera | aerial photograph | camera shot | halftone photograph""",
    "photo.nouns": """photographs | photos | photographic prints | snapshots
        | photographic plates | photographic pictures | pictures taken with a camera
        | photographic images""",
    "photo.adj": """black-and-white | grey | faded | sepia | mounted | blurred | sharp | dark
        | bright | square | old | pasted""",
    "photo.made": """in grey tones | taken with a camera | in black and white | in sepia
        | with soft shadows | pasted on paper | with a white border | in continuous tones
        | printed as a halftone | mounted on paper | taken outdoors | from the air""",
    "photo.not": "without any drawing | not a drawing | no drawing | not drawn by hand",
    "alone": """without a table | not in a table | with no table around it
        | without a table or form | on an empty <page> | filling the whole <page>
        | filling most of the <page> | with a short caption | with a caption below
        | alone on the <page> | without rows and columns | with hardly any text
        | and little else | outside any table | with no table""",
    "picture.short": """<m.noun> <subject> | <m.adj> <m.noun> | <m.nouns> <subject>
        | <m.adj> <m.nouns> | a <m.noun> | <m.noun> <m.made> | full-page <m.noun>
        | <m.noun> <alone> | <m.nouns> <alone> | some <m.nouns> | <m.noun> only""",
    "picture.medium": """a [<m.adj>] <m.noun> [<subject>] <alone>
        | a [<m.adj>] <m.noun> <subject> | a [<m.adj>] <m.noun> <m.made> [<alone>]
        | a <page> with a [<m.adj>] <m.noun> [<subject>] | a <page> with <m.nouns> [<subject>]
        | one or more <m.nouns> <alone> | a <page> filled by a <m.noun> [<subject>]
        | several <m.nouns> <subject> , <alone> | a <page> that shows a <m.noun> [<subject>]
        | a large <m.noun> [<subject>]""",
    "picture.long": """a [<m.adj>] <m.noun> <subject> , <m.made> , <alone>
        | a <page> with a <m.adj> <m.noun> <subject> , <alone>
        | this <page> shows a <m.noun> <subject> | a <m.noun> <subject> <alone> , <m.not>
        | <m.nouns> <subject> , <m.made> | <picture.medium> , <m.not>""",
    "card": """index card | ruled card | record card | form | table | record sheet with <cells>
        | catalogue card | inventory card | ruled form | card with form fields | printed form""",
    "cards": "index cards | forms | tables | record cards | ruled cards | ruled forms",
    "framed": """in a table | inside a table | on a ruled card | on an index card
        | in the cells of a table | on a form with fields | in a tabular layout
        | set into a form | on a record card | in rows and columns | inside a ruled form
        | in the box of a form | in the grid of a table | next to the fields of a form
        | above the rows of a table | with a table of notes | with a tabular legend
        | beside columns of entries | with form fields at its side""",
    "holds": """with | that holds | that shows | containing | combined with | around
        | together with""",
    "tabled.short": """<m.noun> <framed> | <m.nouns> <framed> | <card> with <m.noun>
        | <cards> with <m.nouns> | <m.adj> <m.noun> <framed> | <m.noun> and table
        | table with <m.nouns> | <m.noun> on a card with <cells>""",
    "tabled.medium": """a [<m.adj>] <m.noun> [<subject>] <framed>
        | <m.nouns> [<subject>] <framed> | a <card> <holds> a [<m.adj>] <m.noun> [<subject>]
        | <cards> with <m.nouns> [<subject>] | a table with a <m.noun> in one of its <cells>
        | a <card> whose <cells> surround a <m.noun> | a <page> with a <m.noun> <framed>
        | a <m.noun> framed by the <cells> of a form
        | a <page> divided into <grid> with a <m.noun> [<subject>]
        | several <m.nouns> arranged in the <cells> of a table""",
    "tabled.long": """a [<m.adj>] <m.noun> <subject> , <m.made> , <framed>
        | <tabled.medium> , <m.not>
        | a <card> <holds> a <m.noun> <subject> and <cells> for place and date
        | a <page> on which a <m.noun> <subject> stands <framed> | <tabled.medium> , <m.made>
        | this <page> shows a <m.noun> [<subject>] <framed> | <tabled.medium> , <withpage>""",
}

# Groups of labels, each the share of one trait; `rest` completes "anything but".
_GROUPS = {
    "each": "anything | everything | any page | any sheet",
    "every": "anything | everything | pages | all pages | any page | papers | any sheet",
    "both": """in a table or not | with or without a table | on a card or alone
        | whatever the layout | in any layout | be it in a table or not""",
    "draw.kind": """drawing | drawn picture | drawing or map | drawing , map or plan
        | drawn graphic""",
    "draw.kinds": """drawings | drawn pictures | drawings and maps | drawings , maps and plans
        | drawn graphics""",
    "photo.kind": "photograph | photo | picture taken with a camera | photographic picture",
    "photo.kinds": "photographs | photos | pictures taken with a camera | photographic pictures",
    "anypicture": """<m.kinds> of any kind | any <m.kind> | <m.kinds> , <both>
        | <every> with <m.kinds> | <every> with a <m.kind> | a <m.kind> , <both>
        | <m.kinds> , <both> | a page with a <m.kind> [<subject>] , <both>""",
    "nopicturekind": """<every> without <m.kinds> | <every> without any <m.kind>
        | everything but <m.kinds> | anything but a <m.kind> | a <page> with no <m.kind> on it
        | no <m.kind> at all | <each> that has no <m.kind>""",
    "anytable": """<tables> of words and numbers | tables and forms with writing only
        | a table or form without pictures | writing <intable> | words and numbers <intable>
        | text <intable> , <nopictureatall> | lists and forms with entries but no picture
        | <tables> , <nopictureatall> | entries <intable> , <nopictureatall>""",
    "nopictureatall": "no picture | without pictures | with no drawing and no photograph",
    "anytext": """running text | words <asprose> | paragraphs of text
        | a <page> of running text | prose , <noframe>
        | continuous text , however it was written | letters and reports in prose
        | sentences in paragraphs , <noframe> | words <asprose> , <noframe>
        | letters , diaries and articles | a <page> of paragraphs""",
    "tabular": """<every> in tabular layout | <every> laid out as a table
        | tables , forms and cards | <every> with <grid>
        | a table or form , with or without a picture | a tabular <page>
        | <every> divided into <grid> | <every> with form fields | something <intable>
        | <cards> and whatever stands in them | tabular layout | a <page> with a table on it""",
    "untabular": """<every> without a table | no table at all | <every> not divided into <grid>
        | a <page> without <grid> | <each> that is no table and no form | no tabular layout
        | pictures or text without a table | <every> outside a table
        | neither a table nor a form""",
    "pictures": """drawings and photographs | <every> with a picture | pictures of any kind
        | a photograph or a drawing [, <both>] | <each> with an image on it
        | a picture [<subject>] | photographs , maps , plans and sketches | illustrated pages
        | images , drawn or photographed | a picture , drawn or taken with a camera
        | graphics and photographs""",
    "nopictures": """writing only | <every> without pictures | no picture
        | text or tables without images | <every> with writing and numbers only
        | neither a photograph nor a drawing | words without pictures , <both>
        | <every> without a drawing or photograph | a <page> of text or a table
        | only text , <both>""",
    "anywritten": """<every> <w.part> | <w.noun> , <both> | <w.noun> | <w.adj> <pages>
        | <w.adj> text or tables | <w.adj> pages and <w.adj> tables
        | text or a table , <w.part> | <every> with <w.noun> only
        | <w.adj> tables , letters and reports | <w.noun> in paragraphs or in a table
        | <every> <w.part> , <w.without>""",
    "nohand": """<every> without handwriting | no handwriting | <every> not written by hand
        | a <page> without any handwriting | print or typewriting , <both>
        | <every> printed or typed , not handwritten""",
    "rest": """anything but <m.kinds> <framed> | everything else than a <m.kind> <framed>
        | any other page than a <m.kind> <framed> | all but <m.kinds> <framed>
        | pages without a <m.kind> <framed>""",
    "text": "<text.short> | <text.medium> | <text.medium> | <text.long> | <text.long>",
    "mixed": "<mix.short> | <mix.medium> | <mix.medium> | <mix.long>",
    "picture": "<picture.short> | <picture.medium> | <picture.medium> | <picture.long>",
    "tabled": "<tabled.short> | <tabled.medium> | <tabled.medium> | <tabled.long>",
}

RULES = {
    **_PAGES, **_HAND, **_TYPE, **_PRINT, **_TEXT, **_LINE, **_MIXED, **_PICTURES, **_GROUPS
}  # fmt: skip
