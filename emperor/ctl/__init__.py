"""The command emperorctl: one file per group of verbs, each imported only when it is asked for."""
