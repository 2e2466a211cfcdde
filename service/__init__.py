"""The Afternorm server. Nothing is served yet: the engine, `calibrate`, comes first."""
