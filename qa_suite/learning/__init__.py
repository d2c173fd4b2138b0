"""How networks are trained and registered, the examiner's and the examined's alike.

Nothing here knows what a network is for. Modules that need torch at once are imported in functions
by whoever must load without it.
"""
