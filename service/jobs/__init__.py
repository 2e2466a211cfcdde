"""Jobs: what can be asked for, how it stands, and who may change it."""
