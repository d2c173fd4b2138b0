"""What a report says, as data: taken from the record, nothing measured or judged."""
