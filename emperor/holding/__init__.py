"""The listening sockets of vassals: held over generations, restarts and upgrades, replaced, removed."""
