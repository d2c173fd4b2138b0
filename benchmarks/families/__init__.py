"""Every family of translator trained, registered and examined alike; see docs/appendix/families.md."""
