"""HTTP/1.1 as bytes in and events out: no socket, no event loop. Shared by the server and the client."""
