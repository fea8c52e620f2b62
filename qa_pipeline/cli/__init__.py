"""The command line `docqa`: one module for each group of verbs. Nothing heavy is imported before a verb needs it."""
