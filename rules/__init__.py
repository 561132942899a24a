"""The rule packs that come with icapd, one TOML file each."""
