"""Writing tuned networks and proving that the files compute the same."""
