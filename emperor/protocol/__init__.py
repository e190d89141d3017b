"""Pure codecs: bytes to requests and responses and back, in both roles. No socket, no clock, no WSGI."""
