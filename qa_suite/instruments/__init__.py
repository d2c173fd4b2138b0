"""The examiner's own trained networks: a CT segmenter and a feature extractor.

They are applied alike to reference and synthetic images, share nothing with any translator,
and stand in every record with the hash of their weights.
"""
