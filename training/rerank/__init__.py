"""Train a cross-encoder that reorders what the search finds."""
