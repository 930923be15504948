"""How the line finder of models/pagesort-reader is made."""
