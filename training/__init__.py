"""Models that the project trains for itself, each from one command."""
