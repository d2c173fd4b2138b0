"""What a clinic or a vendor may bring to the suite without touching it."""
