"""DICOM-RT: structure sets, plans and doses."""
