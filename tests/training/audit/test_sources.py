import pytest

from training.audit.sources import guess_source
from training.data.file_facts import FileFacts


@pytest.mark.parametrize(
    ("name", "size", "source"),
    [
        ("Training/notumor/Tr-no_0012.jpg", 225, "br35h"),
        ("Testing/glioma/Te-glTr_0001.jpg", 512, "figshare"),
        ("Training/meningioma/Tr-me_0012.jpg", 300, "sartaj"),
        ("yes/y7.jpg", 300, "br35h"),
        ("no_tumor/image(12).jpg", 300, "sartaj"),
        ("glioma_tumor/gg (7).jpg", 512, "sartaj"),
        ("1/1234.png", 512, "figshare"),
        ("1/1234.png", 256, "unknown"),
        ("HGG/BraTS19_2013_2_1_80.png", 240, "brats"),
        ("a/scan-from-our-hospital.png", 512, "unknown"),
    ],
)
def test_names_and_sizes_of_known_collections(name, size, source):
    assert guess_source(name, FileFacts("", width=size, height=size)) == source
