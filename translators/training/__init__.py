"""Training: the loop and what feeds it, losses, tracking, search."""
