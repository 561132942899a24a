"""Retention: what may go, when, and how that is proved.

`classes` (how long which rows stay) and `holds` (what stays) say what may go; `archive` writes it
to a file; `batches` takes some rows of one writer, once they are proved to be what they were, and leaves a
signed statement in their place (`icapd.audit.evidence.purges`); `purge` does so writer by writer, or with a
whole partition. `erasure` empties what tells of a person.
"""
