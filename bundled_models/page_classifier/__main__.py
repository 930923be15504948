"""Make the bundled model: `python3 -m bundled_models.page_classifier`."""

from bundled_models.page_classifier.build import main

if __name__ == "__main__":
    raise SystemExit(main())
