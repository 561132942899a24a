"""Around the server: the CA, Squid's configuration, the demonstration of the whole path on one machine."""
