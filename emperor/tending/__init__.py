"""One vassal's record and processes: steps, spawns, signals, what it says and prints."""
