"""Make the bundled line finder: `python3 -m bundled_models.line_finder`."""

from bundled_models.line_finder.train import main

if __name__ == "__main__":
    raise SystemExit(main())
