"""The family ``uncertainty``: whether a predicted spread means anything."""
