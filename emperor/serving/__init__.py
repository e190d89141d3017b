"""The accept loops: they join a protocol, the WSGI side and sockets. What runs in a worker."""
