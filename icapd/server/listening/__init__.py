"""Sockets and TLS: what the server listens on, who may connect, and which worker serves whom."""
