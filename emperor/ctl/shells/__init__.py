"""The words of a command as scripts for the shells that complete them with TAB."""
