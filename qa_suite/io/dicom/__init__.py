"""DICOM image series: found by their headers, read to volumes, written as synthetic."""
