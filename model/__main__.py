"""`python -m model`."""

from model.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
