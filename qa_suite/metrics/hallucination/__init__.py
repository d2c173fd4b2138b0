"""The family ``hallucination``: structures that appear, vanish or have a wrong value."""
