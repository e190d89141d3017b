"""One request to an app server's socket, in its own protocol, as the web server would make it."""
