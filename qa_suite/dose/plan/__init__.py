"""Plans: templates, targets, prescriptions, and what they are optimised on."""
