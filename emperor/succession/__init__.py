"""The daemon's program is replaced in place: what is handed over, who may take over, how."""
