"""Predictions as DICOM objects in the study of their image."""
