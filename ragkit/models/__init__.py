"""Finding, checking and preparing model files."""
