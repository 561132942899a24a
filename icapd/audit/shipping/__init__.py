"""Shipping: from the outboxes to the database, in batches, each of which is there once or not at all.

`rows` (an entry as rows of the tables) -> `statements` (SQL for each kind of database) -> `destination` (one
batch, one transaction) -> `shipper` (all outboxes of a directory, also those of the dead).
"""
