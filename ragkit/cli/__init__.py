"""The command line: click commands, one file a noun. Knows how to ask and how to print."""
