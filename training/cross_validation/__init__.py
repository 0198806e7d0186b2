"""One recipe on every fold, and the page about it."""
