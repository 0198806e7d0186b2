"""The signature of DICOM files."""

_MAGIC, _MAGIC_AT = b"DICM", 128
MAGIC_END = _MAGIC_AT + len(_MAGIC)  # a reader needs this many bytes to recognise the file


def is_dicom(data: bytes) -> bool:
    """True if the bytes begin a DICOM Part 10 file."""
    return data[_MAGIC_AT:MAGIC_END] == _MAGIC
