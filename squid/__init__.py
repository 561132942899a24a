"""Squid's part, as data: the template of squid.conf, the ready squid.conf and the list of hosts not decrypted."""
