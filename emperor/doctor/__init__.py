"""Why would a request fail: what was seen of the chain from the web server to the app -> findings, with their mends."""
