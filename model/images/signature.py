"""The magic numbers by which a file format is recognised."""

_MAGIC, _MAGIC_AT = b"DICM", 128
MAGIC_END = _MAGIC_AT + len(_MAGIC)  # as many bytes tell a DICOM file


def is_dicom(data: bytes) -> bool:
    """Tell a DICOM Part 10 file by its bytes."""
    return data[_MAGIC_AT:MAGIC_END] == _MAGIC
