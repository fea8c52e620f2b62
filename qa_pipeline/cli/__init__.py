"""The command line `docqa`: one module per group of verbs. Only the commands that need heavy modules import them."""
