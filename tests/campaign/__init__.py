"""The long trial of reliability that ``make campaign`` runs; ``make test`` has short ones."""
