"""One family of translators a module; each is found by its name, see translators.spec.families."""
