"""Make the larger bundled model: `python3 -m bundled_models.page_trunks`."""

from bundled_models.page_trunks.build import main

if __name__ == "__main__":
    raise SystemExit(main())
