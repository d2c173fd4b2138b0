"""Short reports of other occasions than a verdict: one content, said alike in every form."""
