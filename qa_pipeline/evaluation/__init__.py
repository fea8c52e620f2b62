"""How good the answers are: metrics as pure functions of values, language by language."""
