"""What is measured on a pair of images; see base.py for what they share."""
