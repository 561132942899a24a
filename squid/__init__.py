"""Squid's part, as data: the template of squid.conf, the ready squid.conf, the hosts not decrypted."""
