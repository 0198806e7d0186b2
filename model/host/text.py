"""Text of files that people and programs write, whatever the system."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Decode UTF-8 or UTF-16, with or without a byte order mark.

    Raises:
        UnicodeDecodeError: If it is neither.
    """
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16")
    if data[:4:2] == b"\0\0" or data[1:4:2] == b"\0\0":  # as of a letter of ASCII and the next
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors)
