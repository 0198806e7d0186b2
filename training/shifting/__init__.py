"""What other scanners and hospitals would make of it."""
