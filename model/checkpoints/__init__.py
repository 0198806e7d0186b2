"""Weight files and the card that they carry."""
