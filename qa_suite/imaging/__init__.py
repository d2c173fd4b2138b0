"""Images as arrays: bodies and thresholds, distances and surfaces, registration."""
