"""The options of the selection methods: one file, with a frozen dataclass, per method."""
