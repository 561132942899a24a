"""The benchmark: icapd beside its peers, in one run on one machine. `python -m bench --help` tells more.

`cases` are the messages, `wire` puts them as Squid would, and `load` sends them. `servers` are icapd and its
peers, of which `floor` and `pyicap_peer` are programs of our own; `processes` runs them. `turns` takes turns
among them and `measure` asks the kernel what they used. `proxied` goes through real Squids. `report` and
`plot` tell what came out. `memory` is a command of its own: `python -m bench.memory`.
"""
