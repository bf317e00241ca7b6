"""Train an embedder of source code for questions that another embedder reads."""
