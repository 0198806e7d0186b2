"""`python -m model`."""

import os

# Images are classified in parallel, a core for each; see `api.__main__` for the cost of NumPy's own threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is loaded

from model.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
