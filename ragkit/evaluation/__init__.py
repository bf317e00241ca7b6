"""Measuring retrieval and answers on labelled questions, through the public API alone."""
