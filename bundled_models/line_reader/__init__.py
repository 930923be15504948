"""How the bundled reader of lines under models/pagesort-reader is made."""
