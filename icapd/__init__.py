"""icapd: content inspection for Squid over ICAP (RFC 3507).

How a response travels:

1. `server` reads bytes from Squid's connection and hands them to a session.
2. `icap` turns the bytes into events: a request's heads, pieces of its body, the end of its preview.
3. `services` keeps one state machine per transaction. From the head it plans how the body will be read: not
   at all, held back until its end, or as it flows.
4. `inspection` reads the text: it undoes escapes, runs the rules of `policy` over it, and takes out what
   they redact. What is found becomes findings, which never hold the secret.
5. The verdict becomes replies (`icap` makes bytes of them) and a record, which `audit` commits before the
   replies leave.

Floors, the ground floor first; a module imports its own floor or lower: `errors`, `settings`; `http`, `icap`;
`policy`; `inspection`; `audit`; `services`; `server`, `fleet`; `cli`.
"""

__version__ = "0.1.0"
