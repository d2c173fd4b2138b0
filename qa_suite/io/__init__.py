"""The edge of the suite: files in, files out. Nothing else touches the image libraries."""
