"""From folders and tables of scans to a cohort."""
