"""From a record to a verdict: pure, without images, as often as one likes."""
