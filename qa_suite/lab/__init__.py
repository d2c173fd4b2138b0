"""What tests the examiner and not a user's model: virtual hospitals, faults, exam, references."""
