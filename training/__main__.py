"""`python -m training`."""

from training.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
