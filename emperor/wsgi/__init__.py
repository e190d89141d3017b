"""PEP 3333: environ, start_response, body, routing and the loading of apps. No socket, no wire format."""
