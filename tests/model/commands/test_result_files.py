from model.commands.result_files import save_results
from model.dicom_results.results import DicomResults


def test_the_report_is_beside_the_picture(tmp_path):
    report = save_results(DicomResults(b"capture", b"report"), tmp_path / "deep" / "a.dcm.sc.dcm")
    assert report == tmp_path / "deep" / "a.dcm.sr.dcm"
    assert (report.read_bytes(), report.with_name("a.dcm.sc.dcm").read_bytes()) == (b"report", b"capture")
    assert len(list(report.parent.iterdir())) == 2
