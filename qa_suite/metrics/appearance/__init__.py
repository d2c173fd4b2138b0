"""What source, reference and synthetic image look like, each alone."""
