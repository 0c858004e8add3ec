"""`python -m volary` is the `volary` command."""

from volary.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
