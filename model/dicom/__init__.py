"""DICOM files to decoded images."""
