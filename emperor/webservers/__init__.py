"""What nginx, Apache and lighttpd were told: which requests they pass to which socket, as whom, in which protocol."""
