"""The rigid motion between two images: by mutual information, with what the images leave open."""
