"""The exam of the examiner: planted faults that must turn the verdict, and their clean twins."""
