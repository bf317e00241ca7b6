"""Bytes of a file to a Document, by format."""
