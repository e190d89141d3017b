"""From an ini's text to a checked ``VassalSpec``, or to every problem at once. Pure: nothing here reads a
file."""
