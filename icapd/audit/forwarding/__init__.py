"""Forwarding: records go on from the database to a SIEM, each at least once.

`receivers` (syslog, webhook) take batches; `forwarder` moves a cursor behind those that were taken.
"""
