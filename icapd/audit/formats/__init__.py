"""What an export can look like; each module is one format, and tells how a record is written in it.

`jsonl` and `parquet` hold all columns, so that the trail can be verified from them; `csv` is for
spreadsheets; `ocsf`, `ecs` and `cef` are what SIEMs take.
"""
