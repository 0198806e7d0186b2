import pytest

from model.host.text import decode_text

TEXT = "path,größe\r\n眼.png,1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_as_any_system_writes_it(encoding):
    assert decode_text(TEXT.encode(encoding)) == TEXT
    assert decode_text("".encode(encoding)) == ""


@pytest.mark.parametrize("data", [b"\xff", b"a\xe4\xf6", b"\xff\xfea", b"a\0b\0c"])
def test_other_bytes_are_an_error_unless_they_are_kept(data):
    with pytest.raises(UnicodeDecodeError):
        decode_text(data)
    if 0 not in data and not data.startswith(b"\xff\xfe"):
        assert decode_text(data, "surrogateescape").encode("utf-8", "surrogateescape") == data
