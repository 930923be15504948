"""Make the bundled reader of lines: `python3 -m bundled_models.line_reader`."""

from bundled_models.line_reader.build import main

if __name__ == "__main__":
    raise SystemExit(main())
