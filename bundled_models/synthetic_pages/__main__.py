"""Draw artificial archive pages: `python3 -m bundled_models.synthetic_pages`."""

from bundled_models.synthetic_pages.page import main

if __name__ == "__main__":
    raise SystemExit(main())
