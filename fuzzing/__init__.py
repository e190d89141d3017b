"""Inputs that are nearly right, by the million: into every parser that strangers reach, and into a running daemon."""
