"""The catalogue of methods: every step of a recipe as JSON Schema, with a card in words."""
