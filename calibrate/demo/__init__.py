"""A trained network over real handwritten digits, to try everything on without bringing anything."""
