"""Sources made of other sources: augmented, corrupted, mapped, held in memory, in domains."""
