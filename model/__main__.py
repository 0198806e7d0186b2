"""`python -m model`."""

import os

# Images are judged side by side, a core each; see `api.__main__` for what NumPy's own threads would cost.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is loaded

from model.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
