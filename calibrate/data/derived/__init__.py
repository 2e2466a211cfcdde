"""Sources made of other sources: augmented, cached, corrupted, mapped, in domains."""
