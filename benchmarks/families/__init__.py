"""Every family of translator trained, registered and examined alike: docs/appendix/families.md."""
