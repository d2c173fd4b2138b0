"""Virtual hospitals: patients whose anatomy, physics and truth are known."""
